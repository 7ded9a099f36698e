"""Random ESC environments in the form of tests/esc, and a comparison of what two evaluators make of them.

generated.py write FOLDER FIRST COUNT    the cases of the seeds FIRST to FIRST + COUNT - 1, the same each time
generated.py compare FOLDER THEIRS       FOLDER/*/expected.json, as tests/esc_corpus.rs writes them, with the
                                         answer of `esc-eval FOLDER` in the file THEIRS

A case is a root document and five that it and they can import. Together they hold every function, reference and
merge of the language; most are well formed.
"""

import json
import os
import random
import re
import sys

PLAIN_KEYS = ["a", "b", "c", "ab", "d"]
ODD_KEYS = ["x y", 'q"q', "a.b", "0", "fn", "é", "d_d"]
DOCUMENTS = ["env", "one", "two", "p/e", "p/f", "start"]
NAMES = ["one", "two", "p/e", "start", "gone"]
SECRETS = ["hunter2", "trustno1", "-x", '{"a" x', "pa$$word", "two words", "", "ü€", "line\nbreak", "a${b}"]
# As they stand in a flow collection; each kind of scalar that YAML knows, and some that only look like one.
SCALARS = """null ~ true False yes 0 -1 1.0 3.10 1e6 1234567.5 0777 0x1F 0o17 0b11 1_000 18446744073709551615
    99999999999999999999 1e400 -0.0 .5 1e-7 0.00001 12:30 2001-12-14 plain 'single' <&> $5 $$ $ "a$${b}" "\\u2028\\a\\x01\\e"
    "tab\\tnew\\nline" "\\"" é "\\U0001F642" +1 0o8 08 1_0.5 0x 1__0 -0x1F 1e3 1E+3 0.1e1 123456 1234567
    12345678901234567890.5 _1 1_""".split() + ["!!str 12", "!!int 12", "!!float 3", "!!binary aGk=", "two words"]
JSON_TEXTS = ['{"a": [1, 1.0, 1e6, 1E6, "x", null, true], "b": {"c": "d"}}', "[1,2", "1 2", '"s"', '{"a":1,"a":2}', "1.10", "-0",
              "nul", "trustno1", "-x", "falsify", "", " 1 ", "[01]", '"\\u0041"', "[1,]", "1e999", '"$$"', "truex", "{1", '{"a" 1', '"\\x"']
SCHEMAS = ["true", "false", "{type: string}", "{type: number}", "{type: boolean}", "{type: 'null'}", "{type: nope}", "{const: plain}",
           "{type: object, properties: {a: {type: string}}, required: [a]}", "{type: array, items: {type: string}}",
           "{enum: [1, plain, true]}", "{type: string, pattern: '^a'}", "{type: number, minimum: 1, exclusiveMaximum: 3}",
           "{type: number, maximum: 1, exclusiveMinimum: 0}", "{type: number, multipleOf: 2}", "{type: string, minLength: 2}",
           "{type: string, maxLength: 3}", "{anyOf: [{type: string}, {type: 'null'}]}", "{oneOf: [{type: string}, {const: plain}]}",
           "{type: array, prefixItems: [{type: string}], items: false}", "{type: object, additionalProperties: {type: string}}",
           "{type: array, minItems: 1, maxItems: 2, items: true}", "{type: object, minProperties: 1, maxProperties: 2}",
           "{type: object, properties: {a: {type: object, properties: {b: {type: number}}}}}",
           "{type: object, dependentRequired: {a: [b]}}", "{$ref: '#/$defs/s', $defs: {s: {type: string}}}", "{allOf: [false]}"]


class Writer:
    """Writes documents by the dice of one seed."""

    def __init__(self, chance):
        self.chance = chance

    def odds(self, share):
        return self.chance.random() < share

    def one(self, choices):
        return self.chance.choice(choices)

    def some(self, write, low, high):
        return ", ".join(write() for _ in range(self.chance.randint(low, high)))

    def quoted(self, text):
        return json.dumps(text, ensure_ascii=self.odds(0.2))

    def key(self):
        return self.one(PLAIN_KEYS if self.odds(0.8) else PLAIN_KEYS + ODD_KEYS)

    def keys(self, low, high, doubled):
        keys = [self.key() for _ in range(self.chance.randint(low, high))]
        return keys if self.odds(doubled) else list(dict.fromkeys(keys))

    def accessor(self):
        key, pick = self.key(), self.chance.random()
        if pick < 0.6 and key not in ("x y", 'q"q', "a.b"):
            return "." + key
        if pick < 0.8:
            return '["' + key.replace('"', '\\"') + '"]'
        if pick < 0.97:
            return "[%d]" % self.one([0, 0, 1, 1, 2, 5, -1])
        return self.one(["[", ".", "..a", "[x]", '["a]', "[]", '[""]', " a", "[1", '["a"'])

    def accessors(self, counts):
        return "".join(self.accessor() for _ in range(self.one(counts)))

    def access(self):
        pick = self.chance.random()
        if pick < 0.75:
            first = self.key()
            if first in ("x y", 'q"q', "a.b") or self.odds(0.1):
                first = '["' + first.replace('"', '\\"') + '"]'
            return first + self.accessors([0, 0, 1, 1, 2, 3])
        if pick < 0.85:
            name = self.one(NAMES)
            return "imports" + ('["%s"]' % name if "/" in name else "." + name) + self.accessors([0, 1, 1, 2])
        if pick < 0.93:
            return "environments." + self.one(["p.e", "p.e", "p.f", "p", '["p"].e', "q.gone"]) + self.accessors([0, 1, 1, 2])
        known = ["pulumi.user.id", "pulumi", "currentEnvironment.name", "rootEnvironment.name", "rootEnvironment", "none"]
        return "context." + self.one(known) + self.accessors([0, 0, 0, 1])

    def string(self):
        pick = self.chance.random()
        if pick < 0.55:
            return "${" + self.access() + "}"
        pieces = ["lit", "$$", "$", " ", "<", "$${x}", "é", "\n"]
        text = "".join(self.one(["${" + self.access() + "}"] + pieces) for _ in range(self.chance.randint(1, 3)))
        return text + "${" + self.access() if pick > 0.98 else text

    def scalar(self):
        return self.quoted(self.string()) if self.odds(0.55) else self.one(SCALARS)

    def flow(self, depth):
        pick = self.chance.random()
        if depth <= 0 or pick < 0.5:
            return self.scalar()
        if pick < 0.6:
            return self.items(depth - 1)
        return self.object(depth) if pick < 0.78 else self.call(depth - 1)

    def items(self, depth):
        return "[" + self.some(lambda: self.flow(depth), 0, 3) + "]"

    def object(self, depth):
        keys = self.keys(0, 3, 0.05)
        if self.odds(0.03):
            keys.append(self.one(["a$$b", "${a}", "fn::secret", "fn::nope", "Fn::x", "$", "<<"]))
        return "{" + ", ".join(self.quoted(key) + ": " + self.flow(depth - 1) for key in keys) + "}"

    def text(self, depth):
        """An argument that is a string, most of the time."""
        if self.odds(0.12):
            return self.flow(depth)
        return self.one([self.quoted(self.string()), "plain", self.call(depth - 1), "'a,b,,c'", "aGk=", "!!str 1"])

    def list(self, depth):
        """An argument that is a list, most of the time."""
        if self.odds(0.12):
            return self.flow(depth)
        return self.one([self.items(depth), self.quoted("${" + self.access() + "}"), self.call(depth - 1)])

    def texts(self, depth):
        return "[" + self.some(lambda: self.text(depth), 0, 3) + "]" if self.odds(0.7) else self.list(depth)

    def inputs(self, depth):
        return self.one([self.object(depth), self.object(depth), "{why: " + self.text(depth) + "}"])

    def rotation(self, depth):
        inputs = self.one(["{}", "{next: n}", self.object(depth), "{next: " + self.text(depth) + "}"])
        states = ["", "null", "{a: x, b: y}", "{a: x, b: {'fn::secret': z}}", "{current: c}", "{current: c, previous: p}", "{a: 1}"]
        state = self.one(states + [self.flow(depth)])
        return "inputs: " + inputs + (", state: " + state if state else "")

    def call(self, depth):
        functions = ["secret", "secret", "secret", "ciphertext", "toJSON", "fromJSON", "toString", "toBase64", "fromBase64", "join",
                     "split", "concat", "final", "validate", "open", "open::", "rotate", "rotate::", "odd"]
        name = self.one(functions)
        argument = self.flow(depth) if self.odds(0.06) else self.argument(name, depth)
        name = {"ciphertext": "secret", "odd": self.one(["nope", "", "Secret", "open::", "rotate::", "toJson"]),
                "open::": "open::" + self.one(["test", "test", "test", "secret-wrapper", "error", "nope", "schema"]),
                "rotate::": "rotate::" + self.one(["swap", "swap", "echo", "nope"])}.get(name, name)
        extra = ", " + self.quoted(self.key()) + ": x" if self.odds(0.02) else ""
        return "{'fn::%s': %s%s}" % (name, argument, extra)

    def argument(self, name, depth):
        if name == "secret":
            return self.quoted(self.one(SECRETS))
        if name == "ciphertext":
            sealed = "ZXNjeAAAAAHi4+Tl5ufoBX0y3w=="
            return "{ciphertext: %s}" % self.one([sealed, sealed, "ZXNjeA==", "AAAA", '""', self.scalar()])
        if name == "fromJSON":
            return self.text(depth) if self.odds(0.5) else self.quoted(self.one(JSON_TEXTS))
        if name in ("toBase64", "fromBase64"):
            return self.text(depth)
        if name == "join":
            return "[%s, %s]" % (self.text(depth), self.texts(depth))
        if name == "split":
            return "[%s, %s]" % (self.one(["','", "''", self.text(depth)]), self.text(depth))
        if name == "concat":
            return "[" + self.some(lambda: self.list(depth), 0, 3) + "]"
        if name == "validate":
            return "{schema: %s, value: %s}" % (self.one(SCHEMAS + [self.flow(depth)]), self.flow(depth))
        if name == "open":
            providers = ["test", "test", "secret-wrapper", "error", "nope", "swap"]
            return "{provider: %s, inputs: %s}" % (self.one(providers), self.inputs(depth))
        if name == "open::":
            return self.inputs(depth)
        if name == "rotate":
            return "{provider: %s, %s}" % (self.one(["swap", "swap", "echo", "nope"]), self.rotation(depth))
        if name == "rotate::":
            return "{%s}" % self.rotation(depth)
        return self.flow(depth)

    def block(self, depth, pad):
        lines = []
        for key in self.keys(1, 5, 0.03):
            head = pad + (key if key in PLAIN_KEYS and self.odds(0.8) else self.quoted(key)) + ":"
            pick = self.chance.random()
            if depth > 0 and pick < 0.25:
                lines += [head, self.block(depth - 1, pad + "  ")]
            elif pick < 0.3:
                lines += [head + self.one([" |", " >-", " |+"])] + [pad + "  " + line for line in ["block ${a}", "", "$$ two"]]
            elif depth > 0 and pick < 0.38:
                lines += [head] + [pad + "  - " + self.flow(depth - 1) for _ in range(self.chance.randint(1, 3))]
            else:
                lines += [head + " " + self.flow(depth)]
        return "\n".join(lines)

    def document(self):
        text = ""
        if self.odds(0.6):
            names = list(dict.fromkeys(self.one(NAMES) for _ in range(self.chance.randint(1, 3))))
            forms = ["%s", "%s", "%s", "%s: {merge: false}", "%s: {Merge: true}", "%s: {merge: maybe}"]
            text += "imports:\n" + "".join("  - " + self.one(forms) % name + "\n" for name in names)
        if self.odds(0.05):
            text += self.one(["description: ${a}\n", "description: [1]\n", "other: 1\n", "Values: {a: 1}\n"])
        text += "values:\n" + self.block(3, "  ") + "\n"
        if self.odds(0.02):
            text += self.one(["  imports: 1\n", "  context: {a: 1}\n", "  environments: x\n", "  fn::secret: x\n"])
        return text


def write(folder, first, count):
    for seed in range(first, first + count):
        chance = random.Random(seed)
        case = os.path.join(folder, "seed%d" % seed)
        os.makedirs(os.path.join(case, "p"))
        for name in DOCUMENTS:
            with open(os.path.join(case, name + ".yaml"), "w", encoding="utf-8") as file:
                file.write(Writer(chance).document())
        overrides = {"rotate": True, "showSecrets": chance.random() < 0.5, "rootEnvironment": "start"}
        if chance.random() < 0.5:
            overrides["rotatePaths"] = chance.choices(["a", "b", "a.b", "c", "a[0]", "ab.a"], k=chance.randint(0, 2))
        with open(os.path.join(case, "overrides.json"), "w", encoding="utf-8") as file:
            json.dump(overrides, file)


def same(ours, theirs):
    """But for what is known to differ, see docs/embedded-store.md."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(same(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    if not (isinstance(ours, str) and isinstance(theirs, str)) or ours == theirs:
        return ours == theirs
    hidden = "decoding JSON string: invalid character"
    if ours.endswith(hidden):
        # Of a secret text ours shows no character.
        return theirs.startswith(ours + " ")
    return comparable(ours) == comparable(theirs)


def comparable(text):
    # Of two keys equally near theirs names the one that Go's map happens to show first.
    text = re.sub(r'did you mean ".*"\?$', "did you mean ...?", text)
    # Theirs counts bases once more for each way to an environment that is imported more than once.
    return re.sub(r"( @ \S+:\d+:\d+) \+\d+$", r"\1", text)


def load(path):
    """Numbers as they are spelled, so that `1e6` and `1e+06` are two."""
    with open(path, encoding="utf-8") as file:
        return json.load(file, parse_int="number {}".format, parse_float="number {}".format)


def beyond(theirs):
    """What theirs cannot do, or only with bytes that are no text."""
    shown = json.dumps(theirs, ensure_ascii=False)
    return "panic" in theirs or "internal error" in shown or "\ufffd" in shown or "\\ufffd" in shown


def compare(folder, path):
    alike, different, left_out, valued = 0, 0, 0, 0
    for case, theirs in sorted(load(path).items()):
        if beyond(theirs):
            left_out += 1
            continue
        ours = load(os.path.join(folder, case, "expected.json"))
        valued += len(ours["open"].get("value") or {})
        if same(ours, theirs):
            alike += 1
            continue
        different += 1
        print("== " + case)
        for mode in theirs:
            for part in sorted(set(ours[mode]) | set(theirs[mode])):
                one, other = ours[mode].get(part), theirs[mode].get(part)
                if not same(one, other):
                    print("%s %s\n  theirs: %s\n  ours:   %s" % (mode, part, other, one))
    print("%d alike, %d different, %d left out; %d values at the top" % (alike, different, left_out, valued))
    # A comparison of nothing proves nothing.
    return different == 0 and left_out * 10 < alike and valued > alike


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    elif not compare(sys.argv[2], sys.argv[3]):
        sys.exit(1)
