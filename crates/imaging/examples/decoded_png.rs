//! Writes the pixels this crate decodes from a picture as PNG, so that other programs can be asked about the same pixels.
//!
//! `cargo run --release --example decoded_png -- PICTURE OUT.png`

use affectory_imaging::{Limits, decode, encode_png};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [_, picture, out] = <[String; 3]>::try_from(std::env::args().collect::<Vec<_>>())
        .map_err(|_| "usage: decoded_png PICTURE OUT.png")?;
    let decoded = decode(&std::fs::read(picture)?, &Limits::default())?;
    std::fs::write(out, encode_png(&decoded.image)?)?;
    Ok(())
}
