//! The wallet's key: out of a keystore file, the environment, or a prompt; never from the command line.

use std::path::Path;
use std::{env, fs};

use alloy::signers::local::PrivateKeySigner;
use zeroize::Zeroizing;

use crate::args::WALLET_KEY;
use crate::failure::Failure;
use crate::settings::Settings;

/// Reads the key from where the user put it, or asks.
pub(crate) fn load(settings: &Settings) -> Result<PrivateKeySigner, Failure> {
    let password_file = settings.password_file.as_ref().map(|file| file.value.as_path());
    match &settings.keystore {
        Some(keystore) => from_keystore(&keystore.value, password_file),
        None => match env::var(WALLET_KEY).map(Zeroizing::new) {
            Ok(key) => from_hex(&key).map_err(|wrong| Failure::wallet(format!("{WALLET_KEY}: {wrong}"))),
            Err(_) => from_hex(&ask("Wallet key: ")?).map_err(Failure::wallet),
        },
    }
}

/// The first line of a file.
pub(crate) fn password_from(file: &Path) -> Result<Zeroizing<String>, Failure> {
    let text = fs::read_to_string(file).map(Zeroizing::new);
    let text = text.map_err(|error| Failure::wallet(format!("{}: {error}", file.display())))?;
    Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
}

fn from_keystore(path: &Path, password_file: Option<&Path>) -> Result<PrivateKeySigner, Failure> {
    let password = match password_file {
        None => ask(&format!("Password of {}: ", path.display()))?,
        Some(file) => password_from(file)?,
    };
    let wrong = |reason: String| Failure::wallet(format!("{}: {reason}", path.display()));
    let key = eth_keystore::decrypt_key(path, password.as_bytes()).map(Zeroizing::new);
    let key = key.map_err(|error| match error {
        eth_keystore::KeystoreError::MacMismatch => wrong("the password is wrong".to_owned()),
        other => wrong(other.to_string()),
    })?;
    PrivateKeySigner::from_slice(&key).map_err(|_| wrong("holds no secp256k1 key".to_owned()))
}

fn from_hex(text: &str) -> Result<PrivateKeySigner, String> {
    let text = text.trim();
    let mut key = Zeroizing::new([0; 32]);
    // The reason is not passed on: it could quote a part of the key.
    hex::decode_to_slice(text.strip_prefix("0x").unwrap_or(text), &mut *key)
        .ok()
        .and_then(|()| PrivateKeySigner::from_slice(&*key).ok())
        .ok_or_else(|| "expected a private key of 64 hexadecimal digits".to_owned())
}

pub(crate) fn ask(what: &str) -> Result<Zeroizing<String>, Failure> {
    rpassword::prompt_password(what)
        .map(Zeroizing::new)
        .map_err(|error| Failure::wallet(format!("no key was given, and there is no terminal to ask at ({error})")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_is_read_with_and_without_prefix() {
        let key = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
        for text in [key.to_owned(), format!("0x{key}"), format!(" 0x{key}\n")] {
            let signer = from_hex(&text).unwrap();
            assert_eq!(signer.address().to_string(), "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
        }
    }

    #[test]
    fn what_is_no_key_is_not_repeated() {
        for text in ["", "secret words", &"0".repeat(64), &"f".repeat(63)] {
            let error = from_hex(text).unwrap_err();
            assert!(text.is_empty() || !error.contains(text), "{error}");
        }
    }

    #[test]
    fn keystore_opens_with_its_password_only() {
        let folder = tempfile::tempdir().unwrap();
        let mut rng = rand_08::thread_rng();
        eth_keystore::encrypt_key(folder.path(), &mut rng, [7; 32], "correct", Some("wallet.json")).unwrap();
        let keystore = folder.path().join("wallet.json");
        let password = folder.path().join("password");
        fs::write(&password, "correct\nsecond line\n").unwrap();
        let expected = PrivateKeySigner::from_slice(&[7; 32]).unwrap().address();
        assert_eq!(from_keystore(&keystore, Some(&password)).unwrap().address(), expected);
        fs::write(&password, "wrong").unwrap();
        let failure = from_keystore(&keystore, Some(&password)).unwrap_err();
        assert!(failure.to_string().contains("the password is wrong"), "{failure}");
    }
}
