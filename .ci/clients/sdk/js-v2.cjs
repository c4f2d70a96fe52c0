process.env.AWS_SDK_JS_SUPPRESS_MAINTENANCE_MODE_MESSAGE = '1';
const AWS = require('aws-sdk');

// This version does not know AWS_ENDPOINT_URL.
const sts = new AWS.STS({ endpoint: process.env.AWS_ENDPOINT_URL, region: process.env.AWS_REGION });
sts.getCallerIdentity({}, (err, who) => {
  if (err) {
    console.error(err);
    process.exitCode = 1;
  } else {
    console.log(who.Arn);
  }
});
