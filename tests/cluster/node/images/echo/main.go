// A program for pods of tests: says its arguments, or without any serves the name of its pod on port 8080, and logs who asked.
package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"
)

func main() {
	if len(os.Args) > 1 {
		fmt.Println(strings.Join(os.Args[1:], " "))
		return
	}
	http.HandleFunc("/", func(answer http.ResponseWriter, request *http.Request) {
		name, _ := os.Hostname()
		fmt.Println("asked for", request.URL.Path)
		fmt.Fprintln(answer, name)
	})
	fmt.Println("serving")
	fmt.Println(http.ListenAndServe(":8080", nil))
	os.Exit(1)
}
