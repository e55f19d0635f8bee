package load

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// A Client holds one connection.
type Client struct {
	conn net.Conn
	in   *bufio.Reader
}

// Dial connects to address.
func Dial(ctx context.Context, address string) (*Client, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &Client{c, bufio.NewReaderSize(c, 1024)}, nil
}

// Ask sends one request and gives the answer, which is the process id of who gave it.
// The connection stays open.
func (c *Client) Ask() (string, error) { return c.ask("GET / HTTP/1.1\r\nHost: bench\r\n\r\n") }

func (c *Client) ask(request string) (string, error) {
	c.conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c.conn, request); err != nil {
		return "", err
	}
	answer, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("the answer is %s", answer.Status)
	}
	return strings.TrimSpace(string(body)), err
}

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }

// Once connects, asks once, and says who answered.
func Once(ctx context.Context, address string) (string, error) {
	c, err := Dial(ctx, address)
	if err != nil {
		return "", err
	}
	defer c.Close()
	return c.ask("GET / HTTP/1.1\r\nHost: bench\r\n" + closeHeader + "\r\n\r\n")
}

// Hold opens n connections on each of which one request was answered. Whoever holds
// them closes them, also when there is an error.
func Hold(ctx context.Context, address string, n int) ([]*Client, error) {
	var held []*Client
	for range n {
		c, err := Dial(ctx, address)
		if err != nil {
			return held, fmt.Errorf("connection %d: %w", len(held), err)
		}
		held = append(held, c)
		if _, err := c.Ask(); err != nil {
			return held, fmt.Errorf("connection %d: %w", len(held), err)
		}
	}
	return held, nil
}
