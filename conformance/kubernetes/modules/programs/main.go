// The programs of the images that images.py makes, in one file that is named for what it is to do.
package main

import (
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

const title = "nginx: master process"

func main() {
	name := os.Args[0]
	if program, err := os.Executable(); err == nil {
		name = filepath.Base(program)
	}
	switch name {
	case "pause":
		pause()
	case "nonewprivs":
		fmt.Printf("Effective uid: %d\n", os.Geteuid())
	default:
		serve(name)
	}
}

// pause is process 1 of a pod whose containers share a pid namespace: it reaps, and ends when it is told to.
func pause() {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGCHLD)
	for one := range signals {
		if one != syscall.SIGCHLD {
			return
		}
		for {
			if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); err != nil || pid <= 0 {
				break
			}
		}
	}
}

// serve answers HTTP on the port in PORT (80). nginx shows itself under its title and writes its pid, as the real one does.
func serve(name string) {
	if name == "nginx" && !strings.HasPrefix(os.Args[0], title) {
		program, _ := os.Executable()
		err := syscall.Exec(program, []string{title}, os.Environ())
		fmt.Fprintln(os.Stderr, "nginx:", err)
		os.Exit(1)
	}
	port := os.Getenv("PORT")
	if port == "" {
		port = "80"
	}
	if name == "nginx" {
		if err := os.WriteFile("/var/run/nginx.pid", []byte(fmt.Sprintln(os.Getpid())), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, "nginx:", err)
		}
	}
	fmt.Fprintf(os.Stderr, "%s: serves port %s\n", name, port)
	http.HandleFunc("/", func(answer http.ResponseWriter, _ *http.Request) { fmt.Fprintln(answer, "It works!") })
	fmt.Fprintln(os.Stderr, name+":", http.ListenAndServe(":"+port, nil))
	os.Exit(1)
}
