package mongostore_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/pillboxgo/pillbox/session"
)

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// seal encrypts with AES-256-GCM, and returns the ciphertext and its tag.
func seal(t *testing.T, key, iv, aad, plain []byte) (ct, tag []byte) {
	t.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	out := gcm.Seal(nil, iv, plain, aad)
	return out[:len(plain)], out[len(plain):]
}

// kruptein encrypts as connect-mongo does with its option "crypto".
func kruptein(t *testing.T, secret, plain string) []byte {
	t.Helper()
	iv, salt, aad := random(12), random(128), random(64)
	key, err := pbkdf2.Key(sha512.New, secret, salt, 15000, 32)
	if err != nil {
		t.Fatal(err)
	}
	twice, err := json.Marshal(plain) // as kruptein does with a text
	if err != nil {
		t.Fatal(err)
	}
	ct, tag := seal(t, key, iv, aad, twice)
	text := base64.StdEncoding.EncodeToString(ct)
	mac := hmac.New(sha512.New, key)
	mac.Write([]byte(text))
	out, err := asn1.Marshal(struct{ CT, HMAC, IV, Salt, Tag, AAD []byte }{
		[]byte(text), []byte(base64.StdEncoding.EncodeToString(mac.Sum(nil))), iv, salt, tag,
		[]byte(base64.StdEncoding.EncodeToString(aad)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// webCrypto encrypts as connect-mongo's Web Crypto adapter does.
func webCrypto(t *testing.T, secret, plain string) []byte {
	t.Helper()
	const iterations = 310000
	key, err := pbkdf2.Key(sha256.New, secret, []byte("connect-mongo:webcrypto-default-salt"), iterations, 32)
	if err != nil {
		t.Fatal(err)
	}
	iv := random(12)
	ct, tag := seal(t, key, iv, nil, []byte(plain))
	return bytes.Join([][]byte{iv, ct, tag}, nil)
}

// An encrypted session is neither misread, nor taken for a damaged one and so
// deleted: the request fails, and the error says why.
func TestEncryptedSessionsAreRefused(t *testing.T) {
	const plain = `{"cookie":{"originalMaxAge":null,"expires":null,"httpOnly":true,"path":"/"},"views":1}`
	long := kruptein(t, "squirrel", strings.Replace(plain, "1", strings.Repeat("1", 70000), 1))
	classic, adapter := kruptein(t, "squirrel", plain), webCrypto(t, "squirrel", plain)
	b64, url := base64.StdEncoding.EncodeToString, base64.RawURLEncoding.EncodeToString
	for name, test := range map[string]struct{ text, option string }{
		"crypto":                  {b64(classic), `"crypto"`},
		"crypto, long":            {b64(long), `"crypto"`},
		"crypto, hex":             {hex.EncodeToString(classic), `"crypto"`},
		"cryptoAdapter":           {b64(adapter), `"cryptoAdapter"`},
		"cryptoAdapter, URL-safe": {url(adapter), `"cryptoAdapter"`},
		"cryptoAdapter, hex":      {hex.EncodeToString(adapter), `"cryptoAdapter"`},
		"cryptoAdapter, smallest": {b64(webCrypto(t, "squirrel", "{}")), `"cryptoAdapter"`},
	} {
		for _, form := range forms {
			t.Run(form.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				db := database(t)
				s := open(t, db, form.Options)
				v := newSite(t, s)
				v.visit("POST")
				ids, _, err := s.List(t.Context(), "", 1)
				if err != nil {
					t.Fatal(err)
				}
				expressSet(t, db, ids[0], test.text, in(hour))
				for _, slide := range []session.Slide{{}, {To: in(2 * hour)}} {
					_, err := s.Load(t.Context(), ids[0], slide)
					if !errors.Is(err, errors.ErrUnsupported) || errors.Is(err, session.ErrDamaged) || errors.Is(err, session.ErrNotFound) {
						t.Errorf("Load = %v; want one that is %v and none of the contract's", err, errors.ErrUnsupported)
					}
					if err != nil && (!strings.Contains(err.Error(), test.option) || strings.Contains(err.Error(), test.text[:8])) {
						t.Errorf("Load = %v; want it to name the option %s, and not to quote the session", err, test.option)
					}
				}
				before := v.cookie
				if w := v.visit("GET"); w.Code != http.StatusInternalServerError || v.cookie != before {
					t.Errorf("a request is answered %d, and its cookie changed: %t; want 500 and the cookie left alone", w.Code, v.cookie != before)
				}
				if got := raw(t, db, ids[0]).Lookup("session"); got.Type != bson.TypeString || got.StringValue() != test.text {
					t.Error("the encrypted session was changed")
				}
				if err := s.Delete(t.Context(), ids[0], nil); err != nil {
					t.Errorf("Delete = %v; want nil", err)
				}
			})
		}
	}
}

// Texts that are no session, but are not encrypted either.
func TestOtherTextsAreNotTakenForEncrypted(t *testing.T) {
	db := database(t)
	s := open(t, db, forms[0].Options)
	for i, text := range []string{"views", "deadbeef", "AAAA", strings.Repeat("a", 39), "MIIB", strings.Repeat("no base64! ", 20), ` {"a":1}`, "[1,2,3]"} {
		id := string(rune('a' + i))
		expressSet(t, db, id, text, in(hour))
		holds(t, s, id, text)
	}
}
