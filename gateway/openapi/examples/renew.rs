//! Prints the document, for `docs/openapi.json`.

use std::io::Write as _;

use prost_reflect::DescriptorPool;

fn main() -> anyhow::Result<()> {
    let pool = DescriptorPool::decode(petty_proto::FILE_DESCRIPTOR_SET)?;
    let document = petty_openapi::document(&pool, env!("CARGO_PKG_VERSION"))?;
    std::io::stdout().write_all(document.as_bytes())?;
    Ok(())
}
