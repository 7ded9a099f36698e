// Evaluates a corpus of ESC environments with Pulumi's own evaluator and prints the results in the form of
// tests/esc_corpus.rs, one JSON object: case name -> result. The test compares them with ours.
//
//	esc-eval CORPUS            results of all cases
//	esc-eval -bench            a table of times, to stand beside benches/evaluate.rs
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/pulumi/esc"
	"github.com/pulumi/esc/eval"
	"github.com/pulumi/esc/schema"
	"github.com/pulumi/esc/syntax"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// A cipher that hides nothing: every byte moves by half the circle.
type halfTurn struct{}

func (halfTurn) Encrypt(_ context.Context, plain []byte) ([]byte, error) { return turn(plain), nil }
func (halfTurn) Decrypt(_ context.Context, text []byte) ([]byte, error)  { return turn(text), nil }

func turn(in []byte) []byte {
	out := make([]byte, len(in))
	for i, b := range in {
		out[i] = b + 128
	}
	return out
}

type folder string

func (f folder) LoadEnvironment(_ context.Context, name string) ([]byte, eval.Decrypter, error) {
	text, err := os.ReadFile(filepath.Join(string(f), name+".yaml"))
	if err != nil {
		return nil, nil, fmt.Errorf("environment %q not found", name)
	}
	return text, halfTurn{}, nil
}

type provider struct {
	schema *schema.Schema
	open   func(inputs map[string]esc.Value) (esc.Value, error)
}

func (p provider) Schema() (*schema.Schema, *schema.Schema) { return p.schema, p.schema }

func (p provider) Open(_ context.Context, in map[string]esc.Value, _ esc.EnvExecContext) (esc.Value, error) {
	return p.open(in)
}

type failing struct{}

func (failing) Schema() (*schema.Schema, *schema.Schema) {
	return schema.Record(schema.BuilderMap{"why": schema.String()}).Schema(), schema.Always()
}

func (failing) Open(_ context.Context, in map[string]esc.Value, _ esc.EnvExecContext) (esc.Value, error) {
	return esc.Value{}, errors.New(in["why"].Value.(string))
}

type swap struct{}

func (swap) Schema() (*schema.Schema, *schema.Schema, *schema.Schema) {
	pair := func() *schema.Schema {
		return schema.Record(schema.BuilderMap{"a": schema.String(), "b": schema.String()}).Schema()
	}
	return schema.Always(), pair(), pair()
}

func (swap) Open(_ context.Context, _, state map[string]esc.Value, _ esc.EnvExecContext) (esc.Value, error) {
	return esc.NewValue(state), nil
}

func (swap) Rotate(_ context.Context, _, state map[string]esc.Value, _ esc.EnvExecContext) (esc.Value, error) {
	if state == nil {
		return esc.Value{}, errors.New("nothing to swap")
	}
	return esc.NewValue(map[string]esc.Value{"a": state["b"], "b": state["a"]}), nil
}

type echo struct{}

func (echo) Schema() (*schema.Schema, *schema.Schema, *schema.Schema) {
	state := func() *schema.Schema {
		return schema.Object().Properties(schema.BuilderMap{
			"current": schema.String(), "previous": schema.String(),
		}).Required("current").Schema()
	}
	inputs := schema.Record(schema.BuilderMap{"next": schema.String()}).RotateOnly("next").Schema()
	return inputs, state(), state()
}

func (echo) Open(_ context.Context, in, state map[string]esc.Value, _ esc.EnvExecContext) (esc.Value, error) {
	if !in["next"].Unknown && in["next"].Value != state["current"].Value {
		return esc.Value{}, errors.New("inputs were evaluated outside of a rotation")
	}
	return esc.NewValue(state), nil
}

func (echo) Rotate(_ context.Context, in, state map[string]esc.Value, _ esc.EnvExecContext) (esc.Value, error) {
	return esc.NewValue(map[string]esc.Value{"current": in["next"], "previous": state["current"]}), nil
}

type providers struct{ schema *schema.Schema }

func (p providers) LoadProvider(_ context.Context, name string) (esc.Provider, error) {
	same := func(in map[string]esc.Value) (esc.Value, error) { return esc.NewValue(in), nil }
	switch name {
	case "error":
		return failing{}, nil
	case "test":
		return provider{schema.Always(), same}, nil
	case "schema":
		return provider{p.schema, same}, nil
	case "secret-wrapper":
		return provider{schema.Always(), func(in map[string]esc.Value) (esc.Value, error) {
			return esc.Value{Value: in, Secret: true}, nil
		}}, nil
	}
	return nil, fmt.Errorf("unknown provider %q", name)
}

func (providers) LoadRotator(_ context.Context, name string) (esc.Rotator, error) {
	switch name {
	case "swap":
		return swap{}, nil
	case "echo":
		return echo{}, nil
	}
	return nil, fmt.Errorf("unknown rotator %q", name)
}

type outcome struct {
	Diagnostics []string `json:"diagnostics"`
	Value       any      `json:"value,omitempty"`
	Redacted    any      `json:"redacted,omitempty"`
	Secret      []string `json:"secret,omitempty"`
	Unknown     []string `json:"unknown,omitempty"`
	Defined     []string `json:"defined,omitempty"`
	Rotated     any      `json:"rotated,omitempty"`
}

func lines(diags syntax.Diagnostics) []string {
	type line struct {
		file         string
		line, column int
		text         string
	}
	var found []line
	for _, d := range diags {
		severity := "error"
		if d.Severity == hcl.DiagWarning {
			severity = "warning"
		}
		l := line{text: d.Summary}
		place := "-"
		if d.Subject != nil {
			l.file, l.line, l.column = d.Subject.Filename, d.Subject.Start.Line, d.Subject.Start.Column
			place = fmt.Sprintf("%s:%d:%d", l.file, l.line, l.column)
		}
		l.text = fmt.Sprintf("%s %s %s: %s", severity, place, d.Path, d.Summary)
		found = append(found, l)
	}
	sort.SliceStable(found, func(i, j int) bool {
		a, b := found[i], found[j]
		if a.file != b.file {
			return a.file < b.file
		}
		if a.line != b.line {
			return a.line < b.line
		}
		if a.column != b.column {
			return a.column < b.column
		}
		return a.text < b.text
	})
	out := []string{}
	for _, l := range found {
		out = append(out, l.text)
	}
	return out
}

func marks(v esc.Value, path string, out *outcome) {
	if v.Secret {
		out.Secret = append(out.Secret, path)
	}
	if v.Unknown {
		out.Unknown = append(out.Unknown, path)
	}
	def := v.Trace.Def
	bases := 0
	for b := v.Trace.Base; b != nil; b = b.Trace.Base {
		bases++
	}
	out.Defined = append(out.Defined, fmt.Sprintf("%s @ %s:%d:%d +%d", path, def.Environment, def.Begin.Line, def.Begin.Column, bases))
	switch vv := v.Value.(type) {
	case []esc.Value:
		for i, e := range vv {
			marks(e, fmt.Sprintf("%s[%d]", path, i), out)
		}
	case map[string]esc.Value:
		keys := make([]string, 0, len(vv))
		for k := range vv {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		for _, k := range keys {
			marks(vv[k], path+"["+fmt.Sprintf("%q", k)+"]", out)
		}
	}
}

func result(env *esc.Environment, load, diags syntax.Diagnostics) outcome {
	all := append(append(syntax.Diagnostics{}, load...), diags...)
	out := outcome{Diagnostics: lines(all)}
	if env != nil {
		root := esc.NewValue(env.Properties)
		out.Value, out.Redacted = root.ToJSON(false), root.ToJSON(true)
		for _, k := range sorted(env.Properties) {
			marks(env.Properties[k], "["+fmt.Sprintf("%q", k)+"]", &out)
		}
	}
	return out
}

func sorted(m map[string]esc.Value) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

type overrides struct {
	ShowSecrets     bool     `json:"showSecrets"`
	RootEnvironment string   `json:"rootEnvironment"`
	Rotate          bool     `json:"rotate"`
	RotatePaths     []string `json:"rotatePaths"`
}

func run(dir, name string, load func() providers) map[string]any {
	var o overrides
	if text, err := os.ReadFile(filepath.Join(dir, "overrides.json")); err == nil {
		must(json.Unmarshal(text, &o))
	}
	if o.RootEnvironment != "" {
		name = o.RootEnvironment
	}
	text, err := os.ReadFile(filepath.Join(dir, "env.yaml"))
	must(err)
	known, err := esc.NewExecContext(map[string]esc.Value{"pulumi": esc.NewValue(map[string]esc.Value{
		"user": esc.NewValue(map[string]esc.Value{"id": esc.NewValue("USER_123")}),
	})})
	must(err)
	ctx, crypt, envs := context.Background(), halfTurn{}, folder(dir)
	document, loadDiags, err := eval.LoadYAMLBytes(name, text)
	must(err)
	checked, diags := eval.CheckEnvironment(ctx, name, document, crypt, load(), envs, known, o.ShowSecrets)
	all := map[string]any{"check": result(checked, loadDiags, diags)}
	opened, diags := eval.EvalEnvironment(ctx, name, document, crypt, load(), envs, known)
	all["open"] = result(opened, loadDiags, diags)
	if o.Rotate {
		var paths []resource.PropertyPath
		for _, p := range o.RotatePaths {
			path, err := resource.ParsePropertyPath(p)
			must(err)
			paths = append(paths, path)
		}
		rotated, rotations, diags := eval.RotateEnvironment(ctx, name, document, crypt, load(), envs, known, paths)
		r := result(rotated, loadDiags, diags)
		steps := []string{}
		for _, one := range rotations {
			step := fmt.Sprintf("%s: %s", one.Path, one.Status)
			if one.Patch != nil {
				state := plain(one.Patch.Replacement.ToJSON(false))
				step = fmt.Sprintf("%s at %s: %s", step, one.Patch.DocPath, state)
			}
			steps = append(steps, step)
		}
		sort.Strings(steps)
		r.Rotated = steps
		all["rotate"] = r
	}
	return all
}

// JSON without Go's escapes for HTML.
func plain(value any) string {
	var text strings.Builder
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	must(enc.Encode(value))
	return strings.TrimSuffix(text.String(), "\n")
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func corpus(dir string) {
	text, err := os.ReadFile(filepath.Join(dir, "schema.json"))
	must(err)
	load := func() providers {
		var s schema.Schema
		must(json.NewDecoder(bytes.NewReader(text)).Decode(&s))
		return providers{&s}
	}
	entries, err := os.ReadDir(dir)
	must(err)
	all := map[string]any{}
	for _, e := range entries {
		if _, err := os.Stat(filepath.Join(dir, e.Name(), "env.yaml")); err == nil {
			func() {
				defer func() {
					if r := recover(); r != nil {
						all[e.Name()] = map[string]any{"panic": fmt.Sprint(r)}
					}
				}()
				all[e.Name()] = run(filepath.Join(dir, e.Name()), e.Name(), load)
			}()
		}
	}
	fmt.Println(plain(all))
}

// The documents of benches/evaluate.rs, letter by letter.
func flat(leaves int) string {
	var b strings.Builder
	b.WriteString("values:\n  shared: { region: eu-west-1, prefix: sophia }\n")
	for i := 0; i < leaves; i++ {
		if i%100 == 0 {
			fmt.Fprintf(&b, "  group%d:\n", i/100)
		}
		switch i % 4 {
		case 0:
			fmt.Fprintf(&b, "    key%d: plain value %d\n", i, i)
		case 1:
			fmt.Fprintf(&b, "    key%d: ${shared.prefix}-${shared.region}-%d\n", i, i)
		case 2:
			fmt.Fprintf(&b, "    key%d: { 'fn::secret': hidden%d }\n", i, i)
		default:
			fmt.Fprintf(&b, "    key%d: %d\n", i, i)
		}
	}
	return b.String()
}

type memory map[string]string

func (m memory) LoadEnvironment(_ context.Context, name string) ([]byte, eval.Decrypter, error) {
	return []byte(m[name]), halfTurn{}, nil
}

// The processor time of this process, its garbage collector's included: on a busy machine the clock on the wall tells little.
func computed() time.Duration {
	var usage syscall.Rusage
	must(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func bench() {
	measure := func(label, text string, envs memory, leaves int) {
		repeats := max(20000/leaves, 1)
		best := time.Duration(1 << 62)
		for i := 0; i < 5; i++ {
			before := computed()
			for j := 0; j < repeats; j++ {
				known, err := esc.NewExecContext(map[string]esc.Value{})
				must(err)
				document, _, err := eval.LoadYAMLBytes("bench", []byte(text))
				must(err)
				env, diags := eval.EvalEnvironment(context.Background(), "bench", document, halfTurn{}, providers{}, envs, known)
				if env == nil || len(diags) != 0 {
					must(errors.New("the benchmark does not evaluate"))
				}
			}
			best = min(best, (computed()-before)/time.Duration(repeats))
		}
		fmt.Printf("%-24s %12.3f ms %10.2f us per leaf\n", label, float64(best.Nanoseconds())/1e6, float64(best.Nanoseconds())/1e3/float64(leaves))
	}
	for _, leaves := range []int{10, 1000, 10000, 100000} {
		measure(fmt.Sprintf("%d leaves", leaves), flat(leaves), memory{}, leaves)
	}
	envs := memory{}
	var root strings.Builder
	root.WriteString("imports:\n")
	for i := 0; i < 100; i++ {
		envs[fmt.Sprintf("part%d", i)] = flat(100)
		fmt.Fprintf(&root, "  - part%d\n", i)
	}
	root.WriteString("values:\n  own: ${shared.prefix}\n")
	measure("100 imports of 100", root.String(), envs, 10000)
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: esc-eval CORPUS | -bench")
		os.Exit(2)
	}
	if os.Args[1] == "-bench" {
		bench()
	} else {
		corpus(os.Args[1])
	}
}
