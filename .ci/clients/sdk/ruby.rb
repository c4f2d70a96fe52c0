require 'aws-sdk-core'

if ARGV == ['--version']
  puts Aws::CORE_GEM_VERSION
else
  # This version does not know AWS_ENDPOINT_URL.
  puts Aws::STS::Client.new(endpoint: ENV.fetch('AWS_ENDPOINT_URL')).get_caller_identity.arn
end
