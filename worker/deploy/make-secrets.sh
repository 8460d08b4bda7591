#!/bin/sh
# Makes the files that docker-compose.yml mounts as secrets, each once: what is there already is never replaced.
#
#     sh worker/deploy/make-secrets.sh secrets
#
# The folder is closed to everyone else on this machine. The files in it can be read by whoever gets into the folder,
# because the containers' users, to which Compose hands single files, have no other right to them.
set -eu

folder=${1:?"usage: make-secrets.sh FOLDER"}
umask 077
mkdir -p "$folder"
chmod 700 "$folder"

random() { # N bytes in URL-safe base64
    head -c "$1" /dev/urandom | base64 | tr '+/' '-_' | tr -d '\n'
}

keep() { # NAME: standard input becomes the file, whole or not at all, unless the file exists
    if [ -e "$folder/$1" ]; then
        cat >/dev/null
        echo "kept  $folder/$1"
    else
        cat >"$folder/.$1.new"
        chmod 444 "$folder/.$1.new"
        mv "$folder/.$1.new" "$folder/$1"
        echo "made  $folder/$1"
    fi
}

# 24 bytes have no padding, so these need no escaping in a URL.
random 24 | keep postgres_password
printf 'postgresql://rotator:%s@postgres:5432/rotator' "$(cat "$folder/postgres_password")" | keep database_url
printf 'requirepass %s\n' "$(random 24)" | keep valkey_conf
printf 'redis://:%s@valkey:6379/0' "$(sed -n 's/^requirepass //p' "$folder/valkey_conf")" | keep broker_url
random 32 | keep master_key
printf 'rotator:%s' "$(random 24)" | keep flower_basic_auth

echo "Back up $folder/master_key apart from the database. Flower's user and password: $folder/flower_basic_auth"
