// Publishes one event through Redis: go run demo/examples/redis/publish.go '{"text":"hi"}' [host:port]
// Any client of Redis does the same with one XADD. This one needs no packages.
package main

import (
	"bufio"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log"
	"net"
	"os"
)

func main() {
	address := "localhost:6379"
	if len(os.Args) > 2 {
		address = os.Args[2]
	}
	redis, err := net.Dial("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	defer redis.Close()

	// A retry with the same id publishes it once.
	id := make([]byte, 12)
	rand.Read(id)
	command := []string{"XADD", "{sse}:in", "*", "channel", "board", "data", os.Args[1], "json", "1", "id", hex.EncodeToString(id)}
	fmt.Fprintf(redis, "*%d\r\n", len(command))
	for _, word := range command {
		fmt.Fprintf(redis, "$%d\r\n%s\r\n", len(word), word)
	}

	answer := bufio.NewScanner(redis)
	if !answer.Scan() || answer.Text()[0] == '-' {
		log.Fatal(answer.Text())
	}
	answer.Scan()
	fmt.Println(answer.Text())
}
