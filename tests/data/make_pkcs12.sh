#!/usr/bin/env bash
# Makes tests/data/pkcs12: files of four programs in their default and legacy modes, and the list of what is in them.
# Needs openssl, certtool (gnutls-bin), keytool (a Java runtime) and pk12util (libnss3-tools); the tests need none of them.
# Keys are for tests only. Usage: make_pkcs12.sh DIRECTORY
set -euo pipefail
out=$(realpath -m "${1:?directory}")
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
pass=corpus-pass
list=$out/files.tsv
printf '# file\tpassphrase\tcommon name\tkey\tintermediates\n' >"$list"

# -- an authority with an intermediate, and leaves of all kinds of keys
ca() { # name, subject, issuer or "", path length
    openssl req -newkey rsa:2048 -nodes -keyout "$1.key" -out "$1.csr" -subj "$2" 2>/dev/null
    printf 'basicConstraints=critical,CA:TRUE,pathlen:%s\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n' "$4" >"$1.ext"
    if [ -z "$3" ]; then sign=(-signkey "$1.key"); else sign=(-CA "$3.pem" -CAkey "$3.key" -CAcreateserial); fi
    openssl x509 -req -in "$1.csr" "${sign[@]}" -days 9000 -sha256 -extfile "$1.ext" -out "$1.pem" 2>/dev/null
}
leaf() { # name, common name, then how openssl makes its key
    local name=$1 cn=$2
    shift 2
    openssl genpkey "$@" -out "$name.key" 2>/dev/null
    openssl req -new -key "$name.key" -subj "/C=JP/O=Lab/CN=$cn" -out "$name.csr"
    printf 'subjectAltName=DNS:%s\nextendedKeyUsage=serverAuth,clientAuth\n' "$cn" >"$name.ext"
    openssl x509 -req -in "$name.csr" -CA issuing.pem -CAkey issuing.key -CAcreateserial -days 9000 -sha256 -extfile "$name.ext" -out "$name.pem" 2>/dev/null
}
ca root /C=JP/O=Lab/CN="Corpus Root CA" "" 1
ca issuing /C=JP/O=Lab/CN="Corpus Issuing CA" root 0
ca stranger /C=JP/O=Lab/CN="Unrelated CA" "" 0
leaf rsa mail.corpus.test -algorithm RSA -pkeyopt rsa_keygen_bits:2048
leaf rsa1024 weak.corpus.test -algorithm RSA -pkeyopt rsa_keygen_bits:1024
leaf rsa4096 strong.corpus.test -algorithm RSA -pkeyopt rsa_keygen_bits:4096
leaf p256 p256.corpus.test -algorithm EC -pkeyopt ec_paramgen_curve:P-256
leaf p384 p384.corpus.test -algorithm EC -pkeyopt ec_paramgen_curve:P-384
leaf p521 p521.corpus.test -algorithm EC -pkeyopt ec_paramgen_curve:P-521
leaf ed25519 ed.corpus.test -algorithm ED25519

row() { printf '%s\t%s\t%s\t%s\t%s\n' "$@" >>"$list"; }

# -- openssl
ossl() { # file, leaf, "CN", key, intermediates, passphrase, options
    local file=$1 name=$2 cn=$3 key=$4 count=$5 word=$6
    shift 6
    openssl pkcs12 -export -inkey "$name.key" -in "$name.pem" -out "$out/$file" -passout "pass:$word" "$@"
    row "$file" "$word" "$cn" "$key" "$count"
}
cat issuing.pem root.pem >chain.pem
cat root.pem stranger.pem issuing.pem >disorder.pem
ossl openssl-default.p12 rsa mail.corpus.test "RSA 2048 bits" 1 $pass -certfile issuing.pem -name mail
ossl openssl-legacy.p12 rsa mail.corpus.test "RSA 2048 bits" 1 $pass -certfile issuing.pem -legacy
ossl openssl-legacy-descert.p12 rsa mail.corpus.test "RSA 2048 bits" 1 $pass -certfile issuing.pem -legacy -descert
ossl openssl-legacy-rc2-128.p12 rsa mail.corpus.test "RSA 2048 bits" 1 $pass -certfile issuing.pem -legacy -keypbe PBE-SHA1-RC2-128 -certpbe PBE-SHA1-RC2-128
ossl openssl-aes128-sha512.p12 rsa mail.corpus.test "RSA 2048 bits" 1 $pass -certfile issuing.pem -keypbe AES-128-CBC -certpbe AES-128-CBC -macalg sha512
ossl openssl-3des-pbes2.p12 rsa mail.corpus.test "RSA 2048 bits" 1 $pass -certfile issuing.pem -keypbe DES-EDE3-CBC -certpbe DES-EDE3-CBC -macalg sha1
ossl openssl-many-iterations.p12 rsa mail.corpus.test "RSA 2048 bits" 1 $pass -certfile issuing.pem -iter 300000
ossl openssl-one-iteration.p12 rsa mail.corpus.test "RSA 2048 bits" 1 $pass -certfile issuing.pem -iter 1 -nomaciter
ossl openssl-without-mac.p12 rsa mail.corpus.test "RSA 2048 bits" 1 $pass -certfile issuing.pem -nomac
ossl openssl-open-certificates.p12 rsa mail.corpus.test "RSA 2048 bits" 1 $pass -certfile issuing.pem -certpbe NONE
ossl openssl-nothing-encrypted.p12 rsa mail.corpus.test "RSA 2048 bits" 1 "" -certfile issuing.pem -keypbe NONE -certpbe NONE -nomac
ossl openssl-empty-passphrase.p12 rsa mail.corpus.test "RSA 2048 bits" 1 "" -certfile issuing.pem
ossl openssl-utf8-passphrase.p12 rsa mail.corpus.test "RSA 2048 bits" 1 "Füße 京都" -certfile issuing.pem
ossl openssl-with-root.p12 rsa mail.corpus.test "RSA 2048 bits" 1 $pass -certfile chain.pem -caname "issuing" -caname "root"
ossl openssl-disorder.p12 rsa mail.corpus.test "RSA 2048 bits" 1 $pass -certfile disorder.pem
ossl openssl-leaf-only.p12 rsa mail.corpus.test "RSA 2048 bits" 0 $pass
ossl openssl-rsa1024.p12 rsa1024 weak.corpus.test "RSA 1024 bits" 0 $pass
ossl openssl-rsa4096.p12 rsa4096 strong.corpus.test "RSA 4096 bits" 1 $pass -certfile issuing.pem
ossl openssl-p256.p12 p256 p256.corpus.test "EC P-256" 1 $pass -certfile issuing.pem
ossl openssl-p384.p12 p384 p384.corpus.test "EC P-384" 1 $pass -certfile issuing.pem
ossl openssl-p521-legacy.p12 p521 p521.corpus.test "EC P-521" 1 $pass -certfile issuing.pem -legacy

# -- GnuTLS
tls() { # file, leaf, "CN", key, options
    local file=$1 name=$2 cn=$3 key=$4
    shift 4
    certtool --to-p12 --load-privkey "$name.key" --load-certificate "$name.pem" --load-ca-certificate issuing.pem --p12-name mail \
        --password "$pass" --outder --outfile "$out/$file" "$@" 2>/dev/null
    row "$file" "$pass" "$cn" "$key" 1
}
tls gnutls-default.p12 rsa mail.corpus.test "RSA 2048 bits"
tls gnutls-aes256.p12 rsa mail.corpus.test "RSA 2048 bits" --pkcs-cipher=aes-256
tls gnutls-aes128-sha1.p12 p256 p256.corpus.test "EC P-256" --pkcs-cipher=aes-128 --hash=SHA1
tls gnutls-3des-legacy.p12 rsa mail.corpus.test "RSA 2048 bits" --pkcs-cipher=3des-pkcs12 --hash=SHA1
tls gnutls-rc2-40-legacy.p12 rsa mail.corpus.test "RSA 2048 bits" --pkcs-cipher=rc2-40 --hash=SHA1
tls gnutls-p521.p12 p521 p521.corpus.test "EC P-521"

# -- Java
java_store() { # file, options of the Java runtime
    local file=$1
    shift
    rm -f "$file"
    keytool "$@" -genkeypair -alias mail -keyalg RSA -keysize 2048 -dname "CN=java.corpus.test, O=Lab, C=JP" -validity 9000 \
        -storetype PKCS12 -keystore "$file" -storepass $pass 2>/dev/null
    keytool "$@" -certreq -alias mail -keystore "$file" -storepass $pass -file java.csr 2>/dev/null
    openssl x509 -req -in java.csr -CA issuing.pem -CAkey issuing.key -CAcreateserial -days 9000 -sha256 -out java.pem 2>/dev/null
    cat java.pem issuing.pem root.pem >java-chain.pem
    keytool "$@" -importcert -noprompt -alias mail -keystore "$file" -storepass $pass -file java-chain.pem 2>/dev/null
    cp "$file" "$out/$file"
    row "$file" "$pass" java.corpus.test "RSA 2048 bits" 1
}
java_store keytool-default.p12
java_store keytool-legacy.p12 -J-Dkeystore.pkcs12.legacy
rm -f keytool-self-signed.p12
keytool -genkeypair -alias own -keyalg EC -groupname secp384r1 -dname "CN=own.corpus.test" -validity 9000 -storetype PKCS12 \
    -keystore "$out/keytool-self-signed.p12" -storepass $pass 2>/dev/null
row keytool-self-signed.p12 $pass own.corpus.test "EC P-384" 0
keytool -genkeypair -alias own -keyalg RSA -keysize 2048 -dname "CN=jks.corpus.test" -validity 9000 -storetype JKS \
    -keystore old.jks -storepass $pass -keypass $pass 2>/dev/null
keytool -importkeystore -noprompt -srckeystore old.jks -srcstorepass $pass -destkeystore "$out/keytool-from-jks.p12" \
    -deststoretype PKCS12 -deststorepass $pass 2>/dev/null
row keytool-from-jks.p12 $pass jks.corpus.test "RSA 2048 bits" 0
cp "$out/keytool-default.p12" trusted.p12
keytool -importcert -noprompt -alias anchor -keystore trusted.p12 -storepass $pass -file stranger.pem 2>/dev/null
cp trusted.p12 "$out/keytool-with-trusted-entry.p12"
row keytool-with-trusted-entry.p12 $pass java.corpus.test "RSA 2048 bits" 1

# -- NSS
printf '%s\n' $pass >nss.pass
mkdir nss
certutil -N -d nss -f nss.pass
pk12util -i "$out/openssl-default.p12" -d nss -k nss.pass -W $pass >/dev/null
nss() { # file, options
    local file=$1
    shift
    pk12util -o "$out/$file" -n mail -d nss -k nss.pass -W $pass "$@" >/dev/null
    row "$file" $pass mail.corpus.test "RSA 2048 bits" 1
}
nss nss-default.p12
nss nss-legacy.p12 -c "PKCS #12 V2 PBE With SHA-1 And 3KEY Triple DES-CBC" -C "PKCS #12 V2 PBE With SHA-1 And 40 Bit RC2 CBC" -M SHA-1

# -- files without what is needed: the last three columns hold the reason
openssl pkcs12 -export -nokeys -in rsa.pem -out "$out/bad-no-key.p12" -passout pass:$pass
row bad-no-key.p12 $pass - "no key" -
openssl pkcs12 -export -nocerts -inkey rsa.key -out "$out/bad-no-certificate.p12" -passout pass:$pass
row bad-no-certificate.p12 $pass - "no certificate" -
openssl pkcs12 -export -inkey ed25519.key -in ed25519.pem -out "$out/bad-ed25519.p12" -passout pass:$pass
row bad-ed25519.p12 $pass - "key kind" -
head -c 1500 "$out/openssl-default.p12" >"$out/bad-truncated.p12"
row bad-truncated.p12 $pass - "damaged" -
keytool -importcert -noprompt -alias anchor -keystore anchors.p12 -storetype PKCS12 -storepass $pass -file root.pem 2>/dev/null
cp anchors.p12 "$out/bad-trust-store.p12"
row bad-trust-store.p12 $pass - "no key" -
