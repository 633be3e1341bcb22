// Reads secrets from a KMS instance with the client key of an AAP, and goes on with the new key after a rotation. Names
// of secrets come from standard input, a line each.
//
//	go build application.go
//	echo db | ./application /run/aap/payments https://kst-hzz1234.cryptoservice.kms.aliyuncs.com PASSWORD_FILE
//
// Without PASSWORD_FILE the password is the key's own, which is there with expose_password = yes. The instance's CA is
// taken from SSL_CERT_FILE. Needs golang.org/x/crypto; Debian's package of it is found with
// GO111MODULE=off GOPATH=/usr/share/gocode.
package main

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/pkcs12"
)

type clientKey struct {
	directory, passwordFile string
	file                    os.FileInfo // of the client key that is loaded
	id                      string
	key                     *rsa.PrivateKey
}

// refresh loads the key again when its file is another one: a stat(2) that the kernel answers, cheap enough before
// each use.
func (k *clientKey) refresh() error {
	file, err := os.Stat(filepath.Join(k.directory, "client_key.json"))
	if err != nil {
		return err
	}
	if k.file != nil && os.SameFile(k.file, file) && k.file.ModTime().Equal(file.ModTime()) {
		return nil
	}
	if err := k.load(); err != nil {
		return err
	}
	k.file = file
	return nil
}

// load reads by way of `current`, which leads to one key's own directory: what is read there belongs together.
func (k *clientKey) load() error {
	current, err := filepath.EvalSymlinks(filepath.Join(k.directory, "current"))
	if err != nil {
		return err
	}
	passwordFile := k.passwordFile
	if passwordFile == "" {
		passwordFile = filepath.Join(current, "password")
	}
	password, err := os.ReadFile(passwordFile)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(current, "client_key.json"))
	if err != nil {
		return err
	}
	var content struct {
		KeyId          string
		PrivateKeyData []byte // base64
	}
	if err := json.Unmarshal(text, &content); err != nil {
		return err
	}
	key, _, err := pkcs12.Decode(content.PrivateKeyData, strings.TrimSuffix(string(password), "\n"))
	if err != nil {
		return err
	}
	private, ok := key.(*rsa.PrivateKey)
	if !ok {
		return fmt.Errorf("%s: no RSA key", current)
	}
	k.id, k.key = content.KeyId, private
	return nil
}

// readMessage gives the texts of a message of Protocol Buffers, by field.
func readMessage(data []byte) map[uint64]string {
	fields := map[uint64]string{}
	for len(data) > 0 {
		key, size := binary.Uvarint(data)
		if size <= 0 {
			break
		}
		data = data[size:]
		value, size := binary.Uvarint(data)
		if size <= 0 {
			break
		}
		data = data[size:]
		if key&7 != 2 {
			continue // a number: there is no other kind in these answers
		}
		if value > uint64(len(data)) {
			break
		}
		fields[key>>3] = string(data[:value])
		data = data[value:]
	}
	return fields
}

func getSecretValue(endpoint string, k *clientKey, name string) (string, error) {
	body := append([]byte{0x0a, byte(len(name))}, name...) // field 1, SecretName, of less than 128 bytes
	digest := fmt.Sprintf("%X", sha256.Sum256(body))
	date := time.Now().UTC().Format(http.TimeFormat)
	const kind = "application/x-protobuf"
	// in ascending order; three c's are right
	signed := [][2]string{
		{"x-kms-acccesskeyid", k.id},
		{"x-kms-apiname", "GetSecretValue"},
		{"x-kms-apiversion", "dkms-gcs-0.2"},
		{"x-kms-signaturemethod", "RSA_PKCS1_SHA_256"},
	}
	text := "POST\n" + digest + "\n" + kind + "\n" + date + "\n"
	request, err := http.NewRequest("POST", endpoint, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	for _, header := range signed {
		text += header[0] + ":" + header[1] + "\n"
		request.Header.Set(header[0], header[1])
	}
	hashed := sha256.Sum256([]byte(text + "/"))
	signature, err := rsa.SignPKCS1v15(rand.Reader, k.key, crypto.SHA256, hashed[:])
	if err != nil {
		return "", err
	}
	request.Header.Set("accept", kind)
	request.Header.Set("content-type", kind)
	request.Header.Set("date", date)
	request.Header.Set("content-sha256", digest)
	request.Header.Set("authorization", "Bearer "+base64.StdEncoding.EncodeToString(signature))
	client := http.Client{Timeout: 30 * time.Second}
	answer, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		return "", err
	}
	fields := readMessage(data)
	if answer.StatusCode != 200 {
		return "", fmt.Errorf("%s: %s (%s)", fields[2], fields[3], k.id)
	}
	return fields[3], nil
}

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: application DIRECTORY ENDPOINT [PASSWORD_FILE]")
		os.Exit(2)
	}
	key := &clientKey{directory: os.Args[1]}
	if len(os.Args) > 3 {
		key.passwordFile = os.Args[3]
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		err := key.refresh()
		value := ""
		if err == nil {
			value, err = getSecretValue(os.Args[2], key, lines.Text())
		}
		if err != nil {
			fmt.Printf("%s failed: %v\n", lines.Text(), err)
		} else {
			fmt.Printf("%s = %s (%s)\n", lines.Text(), value, key.id)
		}
	}
}
