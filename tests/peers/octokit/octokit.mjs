// @octokit/rest reads what we wrote, and writes what the sandbox must unseal.
import { Octokit } from "@octokit/rest";
import sodium from "libsodium-wrappers";

await sodium.ready;
const base = process.env.GITHUB_API_URL;
const client = new Octokit({ auth: process.env.GITHUB_TOKEN, baseUrl: base });
const repository = { owner: "payready", repo: "sophia" };
let failed = 0;

function check(what, seen, wanted) {
  const same = JSON.stringify(seen) === JSON.stringify(wanted);
  if (!same) failed += 1;
  console.log(same ? `ok ${what}` : `not ok ${what}: ${JSON.stringify(seen)} instead of ${JSON.stringify(wanted)}`);
}

async function stored() {
  const state = await (await fetch(`${base}/_sandbox/state`)).json();
  return state.github;
}

function seal(key, value) {
  const bytes = sodium.from_base64(key, sodium.base64_variants.ORIGINAL);
  return sodium.to_base64(sodium.crypto_box_seal(sodium.from_string(value), bytes), sodium.base64_variants.ORIGINAL);
}

const pages = await client.paginate(client.actions.listRepoSecrets, { ...repository, per_page: 10 });
check("octokit: pages through what we and others wrote", pages.map((one) => one.name).includes("OPENAI_API_KEY"), true);
const ours = await client.actions.getRepoSecret({ ...repository, secret_name: "OPENAI_API_KEY" });
check("octokit: a secret has no value", "value" in ours.data, false);

const { data: key } = await client.actions.getRepoPublicKey(repository);
const sealed = { encrypted_value: seal(key.key, "zażółć"), key_id: key.key_id };
const created = await client.actions.createOrUpdateRepoSecret({ ...repository, secret_name: "octo", ...sealed });
const updated = await client.actions.createOrUpdateRepoSecret({ ...repository, secret_name: "octo", ...sealed });
check("octokit: creates, then updates", [created.status, updated.status], [201, 204]);
check("octokit: byte for byte", (await stored()).repositories["payready/sophia"].secrets.actions.OCTO.value, "zażółć");

const environment = { ...repository, environment_name: "prod/octo kit" };
await client.repos.createOrUpdateEnvironment(environment);
const { data: own } = await client.actions.getEnvironmentPublicKey(environment);
check("octokit: an environment has its own key", own.key !== key.key, true);
const foreign = await client.actions
  .createOrUpdateEnvironmentSecret({ ...environment, secret_name: "A", ...sealed })
  .catch((error) => error.status);
check("octokit: a box for another store is refused", foreign, 422);

await client.actions.createRepoVariable({ ...repository, name: "OCTO", value: "1" });
const again = await client.actions.createRepoVariable({ ...repository, name: "OCTO", value: "1" }).catch((error) => error.status);
check("octokit: a variable is created once", again, 409);
const { data: search } = await client.search.repos({ q: "org:payready topic:sophia" });
check("octokit: searches", search.items.map((one) => one.full_name), ["payready/sophia"]);
const { data: repositories } = await client.repos.listForOrg({ org: "payready" });
check("octokit: lists an organization", repositories.map((one) => one.name), ["sophia"]);
process.exit(failed ? 1 : 0);
