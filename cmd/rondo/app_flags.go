package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/rondokit/rondo/internal/install"
)

// addRequest adds the flags that say what an app is; what is given goes into req.
func addRequest(flags *pflag.FlagSet, req *install.Request) {
	req.Flags = make(map[string][]string)
	addSettings(flags, req.Flags)
	flags.StringVar(&req.RunAs, "run-as", "", "`ACCOUNT[:GROUP]` of master and workers (default who owns the directory or, for root's, an own account)")
	a := &req.App
	flags.Func("network", "`KIND` of network: host, or none but the passed sockets (default host)", func(text string) error {
		if a.NoNetwork = text == "none"; !a.NoNetwork && text != "host" {
			return fmt.Errorf("%q is not \"host\" or \"none\"", text)
		}
		return nil
	})
	flags.BoolVar(&a.Unconfined, "unconfined", false, "without a sandbox")
	flags.Func("write", "`PATH` that workers may write to, beside a /tmp of their own; repeats", func(text string) error {
		return addPath(&a.Writes, text)
	})
	flags.StringArrayVar(&a.Environment, "env", nil, "`NAME=VALUE` for the environment, readable by everybody; repeats")
	flags.Func("env-file", "`FILE` of NAME=VALUE lines, read by the manager; may be missing with a - before it; repeats", func(text string) error {
		path, optional := strings.CutPrefix(text, "-")
		if err := addPath(&a.EnvironmentFiles, path); err != nil || !optional {
			return err
		}
		a.EnvironmentFiles[len(a.EnvironmentFiles)-1] = "-" + a.EnvironmentFiles[len(a.EnvironmentFiles)-1]
		return nil
	})
	flags.Func("credential", "`NAME=FILE`: a secret, in $CREDENTIALS_DIRECTORY/NAME; repeats", func(text string) error {
		return addCredential(&a.Credentials, text)
	})
	flags.Func("limit-nofile", "`NUMBER` of open files, at most", number(&a.LimitNOFILE, ""))
	flags.Func("memory-max", "`BYTES` of memory, at most, like 512M", number(&a.MemoryMax, "KMGT"))
	flags.Func("tasks-max", "`NUMBER` of processes and threads, at most", number(&a.TasksMax, ""))
	flags.Func("cpu-quota", "`PERCENT` of one processor, at most, like 150%", number(&a.CPUQuota, "%"))
	addSocket(flags, req)
}

// addSocket adds the options of the sockets, for all that can have them.
func addSocket(flags *pflag.FlagSet, req *install.Request) {
	s := &req.Socket
	flags.Func("socket-mode", "`MODE` of unix sockets (default 0666)", func(text string) error {
		mode, err := strconv.ParseUint(text, 8, 32)
		if err != nil || mode == 0 || mode > 0o777 {
			return fmt.Errorf("%q is not permissions in octal, like 0660", text)
		}
		s.Mode = fs.FileMode(mode)
		return nil
	})
	flags.StringVar(&s.User, "socket-user", "", "`ACCOUNT` that unix sockets belong to (default root)")
	flags.StringVar(&s.Group, "socket-group", "", "`GROUP` that unix sockets belong to (default root)")
	flags.Func("backlog", "`NUMBER` of connections that wait in the kernel (default 4096)", func(text string) error {
		var n uint64
		if err := number(&n, "")(text); err != nil {
			return err
		}
		if n > 1<<30 {
			return fmt.Errorf("%d is more than any kernel takes", n)
		}
		s.Backlog = int(n)
		return nil
	})
	flags.BoolVar(&s.IPv6Only, "ipv6-only", false, "leave IPv4 to other sockets, where a --listen is on [::]")
}

// addPath adds the absolute path of text.
func addPath(list *[]string, text string) error {
	if text == "" {
		return errors.New("the path is empty")
	}
	path, err := filepath.Abs(text)
	*list = append(*list, path)
	return err
}

func addCredential(all *map[string]string, text string) error {
	name, file, ok := strings.Cut(text, "=")
	if !ok || name == "" || file == "" {
		return fmt.Errorf("%q is not NAME=FILE, like tls.key=/etc/ssl/private/app.key", text)
	}
	if _, twice := (*all)[name]; twice {
		return fmt.Errorf("%s is given twice", name)
	}
	path, err := filepath.Abs(file)
	if *all == nil {
		*all = make(map[string]string)
	}
	(*all)[name] = path
	return err
}

// number reads a number above 0, which may have one of the suffixes: a power of
// 1024, or % for nothing.
func number(into *uint64, suffixes string) func(string) error {
	return func(text string) error {
		digits, shift := text, 0
		if last := len(text) - 1; last > 0 && strings.IndexByte(suffixes, text[last]) >= 0 {
			digits = text[:last]
			shift = 10 * (strings.IndexByte("KMGT", text[last]) + 1)
		}
		n, err := strconv.ParseUint(digits, 10, 64)
		if err != nil || n == 0 || n<<shift>>shift != n {
			return fmt.Errorf("%q is not a number above 0%s", text, map[string]string{"KMGT": ", like 512M or 2G", "%": ", like 150%"}[suffixes])
		}
		*into = n << shift
		return nil
	}
}
