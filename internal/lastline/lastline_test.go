package lastline

import (
	"strings"
	"testing"
)

func TestTheLineThatTellsWhyAProgramEnded(t *testing.T) {
	for _, row := range []struct {
		what, output, want string
		more               bool
	}{
		{"nothing", "", "", false},
		{"empty lines", "\n \n", "", false},
		{"one line", "no database\n", "no database", false},
		{"the same, again and again", "no database\nno database\n", "no database", false},
		{"no error", "starts\nends\n\n", "ends", true},
		{"an error in the middle", "starts\nerror while connecting\nends\n", "error while connecting", true},
		{"a panic", "goroutines: 3\npanic: no database\n\ngoroutine 1 [running]:\nmain.main()\n", "panic: no database", true},
		{"fatal", "fatal error: all goroutines are asleep\nmain.main()\n", "fatal error: all goroutines are asleep", true},
		{"another panic", "thread 'main' panicked at src/main.rs:2:5:\nno database\n", "thread 'main' panicked at src/main.rs:2:5:", true},
		{"frames alone", "    at x (y.js:1:2)\n", "", true},
		{"frames below", "boom\r\n    at x (y.js:1:2)\r\n", "boom", true},
		{"the stack of another error", "log: an error occurred\nTypeError: x is not a function\n    at y.js:1\n", "TypeError: x is not a function", true},
		{"no module", "node:internal/errors:496\n    ErrorCaptureStackTrace(err);\n    ^\n\nError [ERR_MODULE_NOT_FOUND]: Cannot find package 'x'\n" +
			"    at packageResolve (node:internal/modules/esm/resolve:873:9) {\n  code: 'ERR_MODULE_NOT_FOUND'\n}\n\nNode.js v20.19.2\n",
			"Error [ERR_MODULE_NOT_FOUND]: Cannot find package 'x'", true},
		{"thrown", "/srv/app/server.js:3\nthrow new Error('no database');\n^\n\nError: no database\n    at Object.<anonymous> (/srv/app/server.js:3:7)\n\nNode.js v20.19.2\n",
			"Error: no database", true},
		{"syntax", "/srv/app/server.js:1\nlet = = 1\n    ^\n\nSyntaxError: Unexpected token '='\n    at wrapSafe (node:internal/modules/cjs/loader:1378:20)\n",
			"SyntaxError: Unexpected token '='", true},
		{"Python", "Traceback (most recent call last):\n  File \"x.py\", line 1, in <module>\n    raise ValueError('no')\nValueError: no\n", "ValueError: no", true},
		{"a long line", strings.Repeat("é", longest), strings.Repeat("é", longest/2) + "...", false},
		{"a long line, cut within a letter", "x" + strings.Repeat("é", longest), "x" + strings.Repeat("é", longest/2-1) + "...", false},
	} {
		if got, more := Of(row.output); got != row.want || more != row.more {
			t.Errorf("%s: Of(%q) = %q, %v, want %q, %v", row.what, row.output, got, more, row.want, row.more)
		}
	}
}
