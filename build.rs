//! Packs the files of the page, so that the program holds them as they are sent (RFC 1952).

use flate2::{Compression, GzBuilder};
use std::{env, fs, io::Write, path::Path};

const PAGE: &str = "src/serve/web/page";

fn main() -> std::io::Result<()> {
    println!("cargo::rerun-if-changed={PAGE}");
    let out = env::var_os("OUT_DIR").expect("cargo says where");
    for entry in fs::read_dir(PAGE)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("an ASCII name");
        let packed = fs::File::create(Path::new(&out).join(format!("{name}.gz")))?;
        // Without a time in it, equal files stay equal.
        let mut packed = GzBuilder::new().write(packed, Compression::best());
        packed.write_all(&fs::read(&path)?)?;
        packed.finish()?;
    }
    Ok(())
}
