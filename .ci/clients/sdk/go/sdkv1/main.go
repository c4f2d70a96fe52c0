// Command sdkv1 asks who it is, by version 1 of the AWS SDK for Go.
package main

import (
	"fmt"
	"os"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/session"
	"github.com/aws/aws-sdk-go/service/sts"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "--version" {
		fmt.Println(aws.SDKVersion)
		return
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	// This version does not know AWS_ENDPOINT_URL.
	s, err := session.NewSession(&aws.Config{Endpoint: aws.String(os.Getenv("AWS_ENDPOINT_URL"))})
	if err != nil {
		return err
	}
	who, err := sts.New(s).GetCallerIdentity(&sts.GetCallerIdentityInput{})
	if err != nil {
		return err
	}
	fmt.Println(*who.Arn)
	return nil
}
