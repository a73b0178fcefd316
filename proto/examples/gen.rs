//! Writes `src/gen` from `schema` with a compiler written in Rust, so that nobody needs protoc.
//!
//! `cargo run -p xmtp-proto --example gen` rewrites; with `-- --check` it fails if that would change anything.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use prost::Message as _;

const GENERATED: [&str; 2] = ["xmtp.v1.rs", "descriptors.bin"];

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let check = std::env::args().any(|argument| argument == "--check");
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let fresh = tempfile::tempdir()?;
    generate(here, fresh.path())?;

    let checked_in = here.join("src/gen");
    let mut stale = false;
    for name in GENERATED {
        let (new, old) = (fs::read(fresh.path().join(name))?, fs::read(checked_in.join(name)).unwrap_or_default());
        if new == old {
            continue;
        }
        if check {
            eprintln!("proto/src/gen/{name} is stale: run `cargo run -p xmtp-proto --example gen`");
            stale = true;
        } else {
            fs::create_dir_all(&checked_in)?;
            fs::write(checked_in.join(name), new)?;
        }
    }
    Ok(if stale { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn generate(here: &Path, out: &Path) -> Result<(), Box<dyn Error>> {
    let schema = here.join("schema");
    let files = protox::compile(["xmtp/v1/node.proto", "xmtp/v1/keys.proto", "xmtp/v1/content.proto"], [&schema])?;
    fs::write(out.join("descriptors.bin"), files.encode_to_vec())?;
    tonic_prost_build::configure().out_dir(out).compile_fds(files)?;
    Ok(())
}
