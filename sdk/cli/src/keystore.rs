//! A new wallet key in a file: Web3 Secret Storage, version 3, as every Ethereum tool reads it. Reading is `eth_keystore`'s;
//! writing is here, because that crate derives its keys with N = 2^13, which a thief of the file can try cheaply.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use aes::Aes128;
use aes::cipher::{KeyIvInit as _, StreamCipher as _};
use alloy::primitives::{Keccak256, hex};
use alloy::signers::local::PrivateKeySigner;
use ctr::Ctr128BE;
use serde_json::json;
use zeroize::Zeroizing;

/// scrypt's cost (RFC 7914): N = 2^18, r = 8, p = 1: 256 MiB, and the better part of a second, for each guess.
const LOG_N: u8 = 18;
const BLOCK_SIZE: u32 = 8;
const PARALLELISM: u32 = 1;
const KEY_BYTES: usize = 32;

/// The text of a keystore that holds `key` under `password`.
fn seal(key: &PrivateKeySigner, password: &str, log_n: u8) -> io::Result<String> {
    let [salt, iv, id] = [random::<32>()?.to_vec(), random::<16>()?.to_vec(), random::<16>()?.to_vec()];
    let parameters = scrypt::Params::new(log_n, BLOCK_SIZE, PARALLELISM).map_err(failed)?;
    let mut derived = Zeroizing::new([0; KEY_BYTES]);
    scrypt::scrypt(password.as_bytes(), &salt, &parameters, &mut *derived).map_err(failed)?;
    let (encryption, authentication) = derived.split_at(16);

    let mut sealed = Zeroizing::new(key.to_bytes().0);
    Ctr128BE::<Aes128>::new_from_slices(encryption, &iv).map_err(io::Error::other)?.apply_keystream(&mut *sealed);
    let mut mac = Keccak256::new();
    mac.update(authentication);
    mac.update(sealed.as_slice());

    let keystore = json!({
        "version": 3,
        "id": uuid(&id),
        "address": hex::encode(key.address()),
        "crypto": {
            "cipher": "aes-128-ctr",
            "cipherparams": { "iv": hex::encode(iv) },
            "ciphertext": hex::encode(sealed.as_slice()),
            "kdf": "scrypt",
            "kdfparams": {
                "dklen": KEY_BYTES,
                "n": 1_u32 << log_n,
                "r": BLOCK_SIZE,
                "p": PARALLELISM,
                "salt": hex::encode(salt),
            },
            "mac": hex::encode(mac.finalize()),
        },
    });
    Ok(keystore.to_string())
}

/// Makes a key and writes its keystore to a file that must not be there yet and that only the owner may read.
pub(crate) fn create(path: &Path, password: &str) -> io::Result<PrivateKeySigner> {
    let key = PrivateKeySigner::random();
    // Before the dear derivation: a file that is in the way shows at once.
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    let written = seal(&key, password, LOG_N).and_then(|text| {
        file.write_all(text.as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()
    });
    if let Err(error) = written {
        // Half a keystore holds nothing, and would be in the way of the next attempt.
        let _ = std::fs::remove_file(path);
        return Err(error);
    }
    // The name must last as the file does.
    if let Some(folder) = path.parent() {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        std::fs::File::open(folder)?.sync_all()?;
    }
    Ok(key)
}

fn random<const N: usize>() -> io::Result<Zeroizing<[u8; N]>> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(&mut *bytes).map_err(io::Error::other)?;
    Ok(bytes)
}

fn failed(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(error.to_string())
}

/// Version 4, variant 1 (RFC 9562).
fn uuid(random: &[u8]) -> String {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&random[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let digits = hex::encode(bytes);
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keystore_opens_with_the_crate_that_reads_them_and_its_password_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wallet.json");
        let key = PrivateKeySigner::random();
        // A cheaper derivation: what differs is a number in the file.
        std::fs::write(&path, seal(&key, "correct horse", 4).unwrap()).unwrap();
        let opened = eth_keystore::decrypt_key(&path, "correct horse").unwrap();
        assert_eq!(PrivateKeySigner::from_slice(&opened).unwrap().address(), key.address());
        assert!(eth_keystore::decrypt_key(&path, "correct hors").is_err());
    }

    #[test]
    fn keystore_is_as_dear_as_it_says_and_never_the_same_twice() {
        let key = PrivateKeySigner::random();
        let read = |text: String| serde_json::from_str::<serde_json::Value>(&text).unwrap();
        let [one, two] = [(); 2].map(|()| read(seal(&key, "", LOG_N - 8).unwrap()));
        assert_eq!(one["crypto"]["kdfparams"]["n"], 1 << 10);
        for field in ["/id", "/crypto/cipherparams/iv", "/crypto/ciphertext", "/crypto/kdfparams/salt", "/crypto/mac"] {
            assert_ne!(one.pointer(field).unwrap(), two.pointer(field).unwrap(), "{field}");
        }
        assert_eq!(one["address"], two["address"]);
        assert_eq!(one["id"].as_str().unwrap().as_bytes()[14], b'4');
    }
}
