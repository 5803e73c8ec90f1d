//! `affectory init`: makes a project.

use affectory_catalog::{Project, ProjectConfig};

use super::{Context, password, shown};
use crate::cli::Init;

pub async fn run(context: &Context, args: Init) -> anyhow::Result<()> {
    let config = ProjectConfig { catalog: args.catalog, objects: args.objects };
    let project = Project::init_with(&args.dir, config, password().as_deref()).await?;
    let text = format!("made a project in {}\nnext: affectory --project {0} import folder PATH", shown(&project.root));
    context.print(&text, &serde_json::json!({ "project": project.root }))
}
