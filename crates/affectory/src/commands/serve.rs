//! `affectory serve`: the pages in which people annotate.

use std::io::IsTerminal as _;
use std::sync::Arc;

use affectory_annotate::write_first_lessons;
use affectory_catalog::Role;
use affectory_faces::Mtcnn;
use affectory_portal::{Mailer, PortalSettings};
use affectory_web::{App, Operations, Patience, Portal, ServeOptions, serve};
use anyhow::{Context as _, bail};

use super::accounts::{NewLogin, ask, ask_password, make_account};
use super::{Context, operations};
use crate::cli::Serve;
use crate::environment::{now_ms, random, smtp_password};

pub async fn run(context: &Context, args: &Serve) -> anyhow::Result<()> {
    let project = context.open().await?;
    if project.catalog.count_accounts().await? == 0 {
        if !std::io::stdin().is_terminal() {
            bail!(
                "nobody could sign in: make an administrator first, by `affectory accounts add EMAIL --role \
                 administrator`, or start the server on a terminal, where it asks for one"
            );
        }
        eprintln!("This project has no accounts yet. Who is its administrator?");
        let email = ask("e-mail address: ")?;
        let name = ask("name: ")?;
        let password = ask_password()?;
        let login = NewLogin { email: &email, name: &name, role: Role::Administrator, language: "en" };
        make_account(&project, &login, &password).await?;
    }
    if crate::environment::variable(super::challenge::KEY).is_some() {
        tracing::warn!(
            "{} is set where the server runs, which never needs it: keep it from this process",
            super::challenge::KEY
        );
    }
    write_first_lessons(&project, now_ms()).await?;
    let listener = tokio::net::TcpListener::bind(args.bind)
        .await
        .with_context(|| format!("cannot listen on {}: choose another address by --bind", args.bind))?;
    let address = listener.local_addr().context("cannot find out the address listened on")?;
    let shown = args.url.clone().unwrap_or_else(|| format!("http://{address}"));
    let portal = match PortalSettings::read(&project.root)? {
        Some(settings) => {
            let told = Some(&settings.database.url).filter(|url| args.url.is_none() && !url.is_empty());
            Some(Arc::new(Portal {
                base: told.unwrap_or(&shown).trim_end_matches('/').to_owned(),
                mailer: Mailer::new(&settings.mail, smtp_password().as_deref())?,
                settings,
                program: std::env::current_exe().context("cannot find out where this program lies")?,
            }))
        }
        None => None,
    };
    let options = ServeOptions {
        clock: Arc::new(now_ms),
        random: Arc::new(random),
        patience: Patience::default(),
        public_url: args.url.clone(),
        portal,
    };
    context.print(&format!("serving on {shown}"), &serde_json::json!({ "url": shown, "address": address }))?;
    if !address.ip().is_loopback() && args.url.is_none() {
        tracing::warn!("passwords travel unencrypted: put a proxy with TLS before the server and name it by --url");
    }
    let app = App::new(project.clone(), options).context("cannot start the server")?;
    if let Some(address) = args.operations {
        let of_server = Operations::new(project.clone(), Mtcnn::NAME, Arc::new(now_ms)).with_server(&app);
        operations::listen(of_server, address, &context.stop).await?;
    }
    serve(app, listener, context.stop.clone()).await.context("the server failed")?;
    project.catalog.close().await;
    Ok(())
}
