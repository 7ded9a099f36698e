"""pulumi-esc-sdk lists, creates, updates, opens and reads environments, and its values reach GitHub."""

import os

import pulumi_esc_sdk as esc

from peer import check, done

client = esc.esc_client.default_client(
    host=os.environ["PULUMI_BACKEND_URL"], access_token=os.environ["PULUMI_ACCESS_TOKEN"]
)
organization, project = "payready", "sdk"
client.create_environment(organization, project, "staging")
listed = client.list_environments(organization)
check("pulumi sdk: lists", "staging" in [one.name for one in listed.environments], True)

text = """\
values:
  number: 1
  nothing: null
  list: [a, {b: c}]
  secret:
    fn::secret: "wört $x\\nline"
  copy: ${secret}
  environmentVariables:
    SDK: ${secret}
"""
client.update_environment_yaml(organization, project, "staging", text)
kept = client.get_environment(organization, project, "staging")[1].decode()
check("pulumi sdk: secrets rest encrypted", "ciphertext" in kept and "wört" not in kept, True)
_, values, _ = client.open_and_read_environment(organization, project, "staging")
check("pulumi sdk: opens a secret", values["secret"], "wört $x\nline")
check("pulumi sdk: opens a reference", values["copy"], "wört $x\nline")
check("pulumi sdk: opens plain values", (values["number"], values["nothing"], values["list"]), (1, None, ["a", {"b": "c"}]))

opened = client.open_environment(organization, project, "staging")
_, one = client.read_open_environment_property(organization, project, "staging", opened.id, "list[1].b")
check("pulumi sdk: reads one property", one, "c")

revisions = client.list_environment_revisions(organization, project, "staging")
check("pulumi sdk: revisions", [one.number for one in revisions], [2, 1])
client.create_environment_revision_tag(organization, project, "staging", "stable", 2)
tags = client.list_environment_revision_tags(organization, project, "staging")
check("pulumi sdk: revision tags", sorted(one.name for one in tags.tags), ["latest", "stable"])
client.create_environment_tag(organization, project, "staging", "team", "ops")
tags = client.list_environment_tags(organization, project, "staging")
check("pulumi sdk: environment tags", tags.tags["team"].value, "ops")

checked = client.check_environment_yaml(organization, "values:\n  a: ${none}\n")
check("pulumi sdk: a broken definition has diagnostics", len(checked.diagnostics), 1)
try:
    client.update_environment_yaml(organization, project, "staging", "values:\n  a: ${none}\n")
    check("pulumi sdk: a broken update is refused", "accepted", "refused")
except esc.exceptions.ApiException as error:
    check("pulumi sdk: a broken update is refused", error.status, 400)
client.delete_environment(organization, project, "staging")
try:
    client.get_environment(organization, project, "staging")
    check("pulumi sdk: deletes", "still there", "gone")
except esc.exceptions.NotFoundException as error:
    check("pulumi sdk: deletes", error.status, 404)
done()
