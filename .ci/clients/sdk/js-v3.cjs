const { STSClient, GetCallerIdentityCommand } = require('@aws-sdk/client-sts');

new STSClient({}).send(new GetCallerIdentityCommand({})).then((who) => console.log(who.Arn), (err) => {
  console.error(err);
  process.exitCode = 1;
});
