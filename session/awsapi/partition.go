package awsapi

import "strings"

// partitions: how the names of their regions begin, and the region that
// serves where none is named. The last one is for every other name.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html and the
// SDKs' partitions.json
var partitions = [...]struct{ prefix, name, region string }{
	{"cn-", "aws-cn", "cn-north-1"},
	{"us-gov-", "aws-us-gov", "us-gov-west-1"},
	{"us-iso-", "aws-iso", "us-iso-east-1"},
	{"us-isob-", "aws-iso-b", "us-isob-east-1"},
	{"eu-isoe-", "aws-iso-e", "eu-isoe-west-1"},
	{"us-isof-", "aws-iso-f", "us-isof-south-1"},
	{"eusc-", "aws-eusc", "eusc-de-east-1"},
	{"", "aws", "us-east-1"},
}

// PartitionOf returns the partition that a region is in; "aws" for "".
func PartitionOf(region string) string {
	for _, p := range partitions {
		if strings.HasPrefix(region, p.prefix) {
			return p.name
		}
	}
	return ""
}

// PartitionOfARN returns the partition that an ARN names, or "".
func PartitionOfARN(arn string) string {
	if parts := strings.SplitN(arn, ":", 3); len(parts) == 3 && parts[0] == "arn" {
		return parts[1]
	}
	return ""
}

// region is what signs: no call crosses from one partition into another.
func (a *API) region() string {
	if a.Region != "" && (a.Partition == "" || PartitionOf(a.Region) == a.Partition) {
		return a.Region
	}
	for _, p := range partitions {
		if p.name == a.Partition {
			return p.region
		}
	}
	return "us-east-1"
}

// isRegion reports whether s can be a region's name, which is part of a host's.
func isRegion(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-'
	})
}
