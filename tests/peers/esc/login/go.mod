module github.com/pulumi/pulumi/pkg/v3

go 1.25.8

require github.com/pulumi/pulumi/sdk/v3 v3.243.0
