//! What do the commands of licensed access take?

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub enum PortalCommand {
    /// Write a portal.toml to begin with, every knob explained
    Init,
    /// Say whether portal.toml makes sense, and what it offers
    Check,
    /// Build the packages that are missing and prepare each recipient's copy; the server does so by itself
    Package,
    /// Say from whose copy a leaked part of a manifest comes
    Trace(PortalTrace),
    /// Say who has a copy of an image
    Holders(PortalHolders),
}

#[derive(Debug, Args)]
pub struct PortalTrace {
    /// The leaked table: a CSV with a column `item`
    pub leak: PathBuf,
    /// The release it is of
    #[arg(long, value_name = "NAME")]
    pub release: String,
}

#[derive(Debug, Args)]
pub struct PortalHolders {
    /// SHA-256 of the image
    pub image: String,
}

#[derive(Debug, Args)]
pub struct Fetch {
    /// Address of the files, as the page Files shows it; the token comes from AFFECTORY_TOKEN
    pub url: String,
    /// Folder to put them in
    #[arg(long, value_name = "DIR")]
    pub to: PathBuf,
}

#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Check that nobody changed the log of who did what
    Verify,
}

#[derive(Debug, Subcommand)]
pub enum PersonCommand {
    /// Print everything that is known of whoever has an address
    Export(PersonArgs),
    /// Forget them; what they agreed to, took and annotated stays by number
    Erase(PersonArgs),
}

#[derive(Debug, Args)]
pub struct PersonArgs {
    /// E-mail address
    pub email: String,
}

#[derive(Debug, Args)]
pub struct Backup {
    /// Folder of the copy; used again, only what is new is copied
    pub to: PathBuf,
}

#[derive(Debug, Args)]
pub struct Restore {
    /// Folder of the copy
    pub from: PathBuf,
    /// Folder of the project to be made
    pub to: PathBuf,
}
