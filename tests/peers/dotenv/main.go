// What godotenv (which gh uses) and compose-go (which docker compose uses) read: prints one JSON object,
// reader -> file -> name -> value, or {"!": "error"}.
package main

import (
	"encoding/json"
	"os"

	compose "github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/joho/godotenv"
)

func main() {
	out := map[string]map[string]map[string]string{"godotenv": {}, "compose": {}}
	nothing := func(string) (string, bool) { return "", false }
	for _, path := range os.Args[1:] {
		read, err := godotenv.Read(path)
		if err != nil {
			read = map[string]string{"!": "error"}
		}
		out["godotenv"][path] = read
		read, err = compose.ReadWithLookup(nothing, path)
		if err != nil {
			read = map[string]string{"!": "error"}
		}
		out["compose"][path] = read
	}
	if err := json.NewEncoder(os.Stdout).Encode(out); err != nil {
		panic(err)
	}
}
