package side

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// behind is the Go app alone, with a proxy before it.
func behind(name, title string, proxy func(r *Running, from, to string) (command, error)) Side {
	return Side{Name: "go-" + name, Title: "Go behind " + title, Start: func(ctx context.Context, h *Host) (*Running, error) {
		return h.start(func(r *Running) error {
			if _, err := r.alone(ctx, Go.args(h)); err != nil {
				return err
			}
			to := r.Address()
			from, err := freeAddress()
			if err != nil {
				return err
			}
			c, err := proxy(r, from, to)
			if err != nil {
				return err
			}
			defer closeAll(c.files)
			p, err := r.launch(c)
			if err != nil {
				return err
			}
			if len(c.files) == 0 {
				r.Addresses = []string{from}
			}
			return r.answers(ctx, p, r.Address())
		})
	}}
}

// HAProxy is the Go app behind HAProxy, as many threads as processors, which is its
// default.
func HAProxy() Side {
	return behind("haproxy", "HAProxy (tcp)", func(r *Running, from, to string) (command, error) {
		path, err := r.write("haproxy.cfg", fmt.Sprintf(`global
  maxconn 4096
defaults
  mode tcp
  timeout connect 60s
  timeout client 60s
  timeout server 60s
listen app
  bind %s
  server app %s
`, from, to))
		return command{args: []string{"haproxy", "-db", "-f", path}, env: environ()}, err
	})
}

// Nginx is the Go app behind nginx's stream module, as many workers as processors.
func Nginx() Side {
	return behind("nginx", "nginx (stream)", func(r *Running, from, to string) (command, error) {
		path, err := r.write("nginx.conf", fmt.Sprintf(`load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off;
worker_processes auto;
worker_rlimit_nofile 20000;
pid nginx.pid;
error_log stderr warn;
events { worker_connections 8192; }
stream {
  server {
    listen %s;
    proxy_pass %s;
  }
}
`, from, to))
		return command{args: []string{"nginx", "-p", r.dir, "-e", "stderr", "-c", path}, env: environ()}, err
	})
}

// SocketProxyd is the Go app behind systemd-socket-proxyd, on a passed socket.
func SocketProxyd() Side {
	return behind("socket-proxyd", "systemd-socket-proxyd", func(r *Running, _, to string) (command, error) {
		addresses, files, err := sockets(1)
		if err != nil {
			closeAll(files)
			return command{}, err
		}
		r.Addresses = addresses
		return command{
			args: passed("/usr/lib/systemd/systemd-socket-proxyd", "--connections-max=4096", to),
			env:  environ("LISTEN_FDS=1"), files: files,
		}, nil
	})
}

// write makes a file of the side.
func (r *Running) write(name, text string) (string, error) {
	path := filepath.Join(r.dir, name)
	return path, os.WriteFile(path, []byte(text), 0o600)
}

// passed is args with LISTEN_PID set, as the init system does it. What the shell takes
// is counted to the side.
func passed(args ...string) []string {
	return append([]string{"/bin/sh", "-c", `export LISTEN_PID=$$; exec "$@"`, "sh"}, args...)
}
