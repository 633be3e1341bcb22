#!/usr/bin/env node
/*
 * Reads secrets from a KMS instance with the client key of an AAP, and goes on with the new key after a rotation. Names
 * of secrets come from standard input, a line each.
 *
 *     echo db | ./application.js /run/aap/payments https://kst-hzz1234.cryptoservice.kms.aliyuncs.com PASSWORD_FILE
 *
 * Without PASSWORD_FILE the password is the key's own, which is there with expose_password = yes. The instance's CA is
 * taken from NODE_EXTRA_CA_CERTS. Needs nothing but Node.js.
 */
'use strict';
const crypto = require('crypto');
const fs = require('fs');
const http = require('http');
const https = require('https');
const path = require('path');
const readline = require('readline');

/* `current` leads to one key's own directory: what is read there belongs together, whatever happens meanwhile. */
function load(directory, passwordFile) {
    const current = fs.realpathSync(path.join(directory, 'current'));
    const password = fs.readFileSync(passwordFile || path.join(current, 'password'), 'utf8').replace(/\n$/, '');
    return {
        id: fs.readFileSync(path.join(current, 'client_key_id'), 'utf8').trim(),
        key: crypto.createPrivateKey({
            key: fs.readFileSync(path.join(current, 'private_key.pem')),
            passphrase: password,
        }),
    };
}

/* The texts of a message of Protocol Buffers, by field. */
function readMessage(data) {
    const fields = {};
    let at = 0;
    function readNumber() {
        let number = 0;
        for (let factor = 1; at < data.length; factor *= 128) {
            const byte = data[at++];
            number += (byte & 0x7f) * factor;
            if (byte < 0x80)
                break;
        }
        return number;
    }
    while (at < data.length) {
        const key = readNumber(), value = readNumber();
        if (key % 8 !== 2)
            continue; // a number: there is no other kind in these answers
        fields[key >> 3] = data.toString('utf8', at, at + value);
        at += value;
    }
    return fields;
}

function post(endpoint, headers, body) {
    return new Promise((resolve, reject) => {
        const client = endpoint.startsWith('https:') ? https : http;
        const request = client.request(endpoint, { method: 'POST', headers, timeout: 30000 }, (answer) => {
            const parts = [];
            answer.on('data', (part) => parts.push(part));
            answer.on('end', () => resolve({ status: answer.statusCode, body: Buffer.concat(parts) }));
            answer.on('error', reject);
        });
        request.on('timeout', () => request.destroy(new Error('no answer')));
        request.on('error', reject);
        request.end(body);
    });
}

async function getSecretValue(endpoint, clientKey, name) {
    const encoded = Buffer.from(name);
    const body = Buffer.concat([Buffer.from([0x0a, encoded.length]), encoded]); // field 1, of less than 128 bytes
    const headers = {
        'x-kms-acccesskeyid': clientKey.id, // three c's are right
        'x-kms-apiname': 'GetSecretValue',
        'x-kms-apiversion': 'dkms-gcs-0.2',
        'x-kms-signaturemethod': 'RSA_PKCS1_SHA_256',
    };
    const signed = Object.keys(headers).sort().map((header) => `${header}:${headers[header]}`);
    const type = 'application/x-protobuf', date = new Date().toUTCString();
    const digest = crypto.createHash('sha256').update(body).digest('hex').toUpperCase();
    const text = ['POST', digest, type, date, ...signed, '/'].join('\n');
    const signature = crypto.sign('sha256', Buffer.from(text), clientKey.key).toString('base64');
    try {
        const answer = await post(endpoint, {
            ...headers, accept: type, 'content-type': type, date, 'content-sha256': digest,
            'content-length': body.length, authorization: `Bearer ${signature}`,
        }, body);
        const fields = readMessage(answer.body);
        return answer.status === 200 ? `${name} = ${fields[3]} (${clientKey.id})`
                                     : `${name} failed: ${fields[2]}: ${fields[3]} (${clientKey.id})`;
    } catch (error) {
        return `${name} failed: ${error.message}`;
    }
}

async function main(directory, endpoint, passwordFile) {
    let clientKey;
    /* the watch comes first: nothing is missed in between */
    fs.watch(directory, { persistent: false }, (event, name) => {
        if (name !== 'current') // the first name that moves in a rotation
            return;
        try {
            clientKey = load(directory, passwordFile);
        } catch (error) {
            console.error(`the new client key cannot be read: ${error.message}`); // the one before is used on
        }
    });
    clientKey = load(directory, passwordFile);
    for await (const name of readline.createInterface({ input: process.stdin }))
        console.log(await getSecretValue(endpoint, clientKey, name));
}

if (process.argv.length < 4) {
    console.error('usage: application.js DIRECTORY ENDPOINT [PASSWORD_FILE]');
    process.exit(2);
}
main(...process.argv.slice(2));
