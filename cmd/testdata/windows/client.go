// Command client gets the credentials at the address that an SDK would take,
// or at its argument, and prints the status and the access key's ID.
package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
)

func main() {
	url := os.Getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI")
	if len(os.Args) > 1 {
		url = os.Args[1]
	}
	r, err := http.NewRequest("GET", url, nil)
	if err != nil {
		panic(err)
	}
	if token := os.Getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN"); token != "" {
		r.Header.Set("Authorization", token)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		panic(err)
	}
	var got struct{ AccessKeyId string }
	json.NewDecoder(response.Body).Decode(&got)
	fmt.Println(response.StatusCode, got.AccessKeyId)
}
