// Package diy tells the backends that are a bucket or a folder and hold no environments.
package diy

import "strings"

// IsDIYBackendURL tells whether a URL names a bucket or a folder.
func IsDIYBackendURL(url string) bool {
	for _, scheme := range []string{"file://", "s3://", "gs://", "azblob://", "mem://", "postgres://"} {
		if strings.HasPrefix(url, scheme) {
			return true
		}
	}
	return false
}
