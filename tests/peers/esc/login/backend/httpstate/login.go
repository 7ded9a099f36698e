// Package httpstate logs in with PULUMI_ACCESS_TOKEN, as scripts do: the token is checked with the service, and the
// account is kept in the credentials file by Pulumi's own SDK.
package httpstate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/pulumi/pulumi/pkg/v3/backend/display"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
)

// LoginManager is what the command asks for an account.
type LoginManager interface {
	Current(ctx context.Context, url string, insecure, setCurrent bool) (*workspace.Account, error)
	Login(ctx context.Context, url string, insecure bool, command, message string, welcome func(display.Options),
		setCurrent bool, options display.Options) (*workspace.Account, error)
	LoginWithOIDCToken(ctx context.Context, sink diag.Sink, url string, insecure bool, token, organization, scope string,
		expiration time.Duration, setCurrent bool) (*workspace.Account, error)
}

// NewLoginManager logs in without asking anybody.
func NewLoginManager() LoginManager { return manager{} }

type manager struct{}

func (m manager) Current(ctx context.Context, url string, insecure, setCurrent bool) (*workspace.Account, error) {
	account, err := workspace.GetAccount(url)
	if err != nil {
		return nil, err
	}
	token := os.Getenv("PULUMI_ACCESS_TOKEN")
	if account.AccessToken != "" && (token == "" || token == account.AccessToken) {
		return &account, nil
	}
	if token == "" {
		return nil, nil
	}
	return m.Login(ctx, url, insecure, "", "", nil, setCurrent, display.Options{})
}

func (manager) Login(ctx context.Context, url string, insecure bool, _, _ string, _ func(display.Options),
	setCurrent bool, _ display.Options) (*workspace.Account, error) {
	token := os.Getenv("PULUMI_ACCESS_TOKEN")
	if token == "" {
		return nil, errors.New("PULUMI_ACCESS_TOKEN must be set for login during non-interactive CLI sessions")
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/api/user", nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "token "+token)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	var user struct{ GithubLogin string }
	if err := json.NewDecoder(answer.Body).Decode(&user); err != nil || user.GithubLogin == "" {
		return nil, fmt.Errorf("invalid access token (%s)", answer.Status)
	}
	account := workspace.Account{
		AccessToken: token, Username: user.GithubLogin, LastValidatedAt: time.Now(), Insecure: insecure,
	}
	return &account, workspace.StoreAccount(url, account, setCurrent)
}

func (manager) LoginWithOIDCToken(context.Context, diag.Sink, string, bool, string, string, string, time.Duration,
	bool) (*workspace.Account, error) {
	return nil, errors.New("this login knows no id tokens")
}
