"""PyGithub reads what we wrote, and writes what the sandbox must unseal."""

import os

from github import Auth, Github, GithubException

from peer import admin, check, done

client = Github(
    auth=Auth.Token(os.environ["GITHUB_TOKEN"]),
    base_url=os.environ["GITHUB_API_URL"],
    seconds_between_writes=None,
    seconds_between_requests=None,
)


def stored(*path):
    value = admin("GET", "state")["github"]
    for part in path:
        value = value[part]
    return value


check("pygithub: the user", client.get_user().login, "octocat")
repository = client.get_repo("PayReady/sophia")
names = [secret.name for secret in repository.get_secrets()]
check("pygithub: lists what we synced", names, ["OPENAI_API_KEY", "PROD_DATABASE_URL"])

value = "pa$$wört #1\r\nsecond line \n"
repository.create_secret("py_secret", value)
kept = stored("repositories", "payready/sophia", "secrets", "actions", "PY_SECRET")
check("pygithub: creates a secret, byte for byte", kept["value"], value)
before = repository.get_secret("PY_SECRET").updated_at
repository.create_secret("PY_SECRET", "second")
check("pygithub: an update moves the date", repository.get_secret("PY_SECRET").updated_at > before, True)
repository.create_secret("PY_DEPENDABOT", "d", secret_type="dependabot")
kept = stored("repositories", "payready/sophia", "secrets", "dependabot", "PY_DEPENDABOT")
check("pygithub: dependabot is another store", kept["value"], "d")
check("pygithub: deletes a secret", repository.delete_secret("PY_SECRET"), True)

for number in range(35):
    repository.create_secret(f"PAGE_{number:02}", "p")
check("pygithub: pages through a list", sum(1 for one in repository.get_secrets() if one.name.startswith("PAGE_")), 35)

repository.create_variable("Py_Variable", "v1")
repository.get_variable("PY_VARIABLE").edit("v2")
check("pygithub: a variable", repository.get_variable("py_variable").value, "v2")
check("pygithub: lists variables", "Py_Variable" in [one.name for one in repository.get_variables()], True)

environment = repository.create_environment("prod/eu west")
environment.create_secret("PY_ENV", "e")
kept = stored("repositories", "payready/sophia", "environments", "prod/eu west", "secrets", "PY_ENV")
check("pygithub: an environment with a slash in its name", kept["value"], "e")
check("pygithub: lists environments", "prod/eu west" in [one.name for one in repository.get_environments()], True)

organization = client.get_organization("payready")
organization.create_secret("PY_ORG", "o", visibility="selected", selected_repositories=[repository])
kept = stored("organizations", "payready", "secrets", "actions", "PY_ORG")
check("pygithub: an organization secret keeps who may see it", kept["selected_repositories"], ["payready/sophia"])
selected = [one.full_name for one in organization.get_secret("PY_ORG").selected_repositories]
check("pygithub: reads who may see it", selected, ["payready/sophia"])

try:
    repository.create_secret("GITHUB_X", "x")
    check("pygithub: a bad name is refused", "accepted", "refused")
except GithubException as error:
    check("pygithub: a bad name is refused", (error.status, "GITHUB_" in error.data["message"]), (422, True))

issue = repository.create_issue("Rotate OPENAI_API_KEY", body="due", labels=["rotation"])
issue.create_comment("still due")
issue.edit(state="closed")
check("pygithub: issues", [one.title for one in repository.get_issues(state="closed")], ["Rotate OPENAI_API_KEY"])
check("pygithub: rate limit", client.get_rate_limit().resources.core.limit, 5000)
done()
