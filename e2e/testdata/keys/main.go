// keys adds a key to the keyring of the user that it runs as, removes it, or says
// whether it finds it as any program would: from its session's keyring on.
package main

import (
	"fmt"
	"log"
	"os"

	"golang.org/x/sys/unix"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: keys add|has|remove NAME")
	}
	name := os.Args[2]
	switch os.Args[1] {
	case "add":
		if _, err := unix.AddKey("user", name, []byte("secret"), unix.KEY_SPEC_USER_KEYRING); err != nil {
			log.Fatal(err)
		}
	case "has":
		if _, err := unix.RequestKey("user", name, "", 0); err != nil {
			fmt.Print(err)
			return
		}
		fmt.Print("found")
	case "remove":
		id, err := unix.KeyctlSearch(unix.KEY_SPEC_USER_KEYRING, "user", name, 0)
		if err == nil {
			_, err = unix.KeyctlInt(unix.KEYCTL_UNLINK, id, unix.KEY_SPEC_USER_KEYRING, 0, 0)
		}
		if err != nil {
			log.Fatal(err)
		}
	}
}
