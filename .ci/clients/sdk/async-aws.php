<?php
require '/usr/share/php/AsyncAws/Core/autoload.php';

// This version does not know AWS_ENDPOINT_URL.
$sts = new AsyncAws\Core\Sts\StsClient(['endpoint' => getenv('AWS_ENDPOINT_URL'), 'region' => getenv('AWS_REGION')]);
echo $sts->getCallerIdentity()->getArn(), "\n";
