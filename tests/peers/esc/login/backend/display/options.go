// Package display has the one type that the command hands to a login.
package display

import "github.com/pulumi/pulumi/sdk/v3/go/common/diag/colors"

// Options says how a login prints.
type Options struct{ Color colors.Colorization }
