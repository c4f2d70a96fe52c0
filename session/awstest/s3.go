package awstest

import (
	"net/http"
	"time"
)

// s3 knows ListBuckets alone: the call that shows that credentials are worth
// something.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListBuckets.html
func (a *AWS) s3(r *http.Request, c *call) (any, error) {
	if c.action != "ListBuckets" {
		return nil, &apiError{http.StatusNotImplemented, "NotImplemented", "A header you provided implies functionality that is not implemented"}
	}
	if c.who.decide("s3:ListAllMyBuckets", "*", c.context()) != allowed {
		return nil, denied("User: " + c.who.arn + " is not authorized to perform: s3:ListAllMyBuckets because no identity-based policy allows the s3:ListAllMyBuckets action")
	}
	type bucket struct{ Name, CreationDate string }
	out := struct {
		Space   string `xml:"xmlns,attr"`
		Owner   struct{ ID string }
		Buckets []bucket `xml:"Buckets>Bucket"`
	}{Space: s3Space}
	out.Owner.ID = c.who.account.ID
	for _, b := range c.who.account.buckets {
		out.Buckets = append(out.Buckets, bucket{b.name, b.created.Format(time.RFC3339)})
	}
	return out, nil
}
