//! `affectory init`: makes a project.

use affectory_catalog::{Project, ProjectConfig};

use super::evaluate::write_file;
use super::{Context, secrets, shown};
use crate::cli::Init;

pub async fn run(context: &Context, args: Init) -> anyhow::Result<()> {
    let config = ProjectConfig { catalog: args.catalog, objects: args.objects, queue: None };
    let project = Project::init_with(&args.dir, config, &secrets()).await?;
    // Nothing is sent before somebody has written a contact and a provider into it; a lab that brought its own keeps it.
    let settings = project.root.join(super::collect::SETTINGS_FILE);
    if !settings.exists() {
        write_file(&settings, affectory_collect::template().as_bytes())?;
    }
    let text = format!(
        "made a project in {}\nnext: affectory --project {0} import folder PATH, or collect plan (see collect.toml)",
        shown(&project.root)
    );
    context.print(&text, &serde_json::json!({ "project": project.root }))
}
