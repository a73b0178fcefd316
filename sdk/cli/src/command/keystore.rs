//! `xmtp keystore`.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::keystore;
use crate::output::{Output, Said};
use crate::settings::Settings;
use crate::wallet;

pub(super) fn new(file: PathBuf, settings: &Settings, output: &Output) -> Result<(), Failure> {
    let password = match &settings.password_file {
        Some(file) => wallet::password_from(&file.value)?,
        None => typed_twice()?,
    };
    if password.is_empty() {
        return Err(Failure::wallet("the password is empty: whoever has the file would have the key".to_owned()));
    }
    let key =
        keystore::create(&file, &password).map_err(|error| Failure::wallet(format!("{}: {error}", file.display())))?;
    output.say(&Made { address: key.address().to_checksum(None), file: file.display().to_string() })
}

fn typed_twice() -> Result<Zeroizing<String>, Failure> {
    let first = wallet::ask("New password: ")?;
    let second = wallet::ask("Again: ")?;
    if first == second { Ok(first) } else { Err(Failure::wallet("the two passwords differ".to_owned())) }
}

#[derive(Serialize)]
struct Made {
    address: String,
    file: String,
}

impl Said for Made {
    fn text(&self, f: &mut impl fmt::Write) -> fmt::Result {
        writeln!(f, "{} is a new wallet.", self.address)?;
        writeln!(f, "  its key is in  {}", self.file)?;
        writeln!(f, "  whoever loses that file, or its password, has lost it: keep copies of both, apart")
    }
}
