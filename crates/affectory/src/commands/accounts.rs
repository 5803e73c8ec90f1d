//! `affectory accounts`: who may sign in?

use std::io::{IsTerminal as _, Read as _, Write as _};

use affectory_catalog::{Account, AccountChange, COMMAND_LINE, NewAccount, Project, Role};
use affectory_web::{hash_password, password_problem};
use anyhow::{Context as _, bail};
use serde_json::json;

use super::Context;
use crate::cli::{AccountAdd, AccountPassword, AccountRole, AccountsCommand};
use crate::environment::{now_ms, random};
use crate::failure::printable;

/// Longest password read, bytes.
const PASSWORD_BYTES: u64 = 4096;

pub async fn run(context: &Context, command: AccountsCommand) -> anyhow::Result<()> {
    match command {
        AccountsCommand::Add(args) => add(context, &args).await,
        AccountsCommand::List => list(context).await,
        AccountsCommand::Password(args) => change_password(context, &args).await,
    }
}

async fn add(context: &Context, args: &AccountAdd) -> anyhow::Result<()> {
    let project = context.open().await?;
    let role = match args.role {
        AccountRole::Researcher => Role::Researcher,
        AccountRole::Annotator => Role::Annotator,
        AccountRole::Reviewer => Role::Reviewer,
        AccountRole::Lead => Role::Lead,
        AccountRole::Administrator => Role::Administrator,
    };
    let password = password(args.password_stdin)?;
    let name = args.name.as_deref().unwrap_or(&args.email);
    let login = NewLogin { email: &args.email, name, role, language: &args.language };
    let account = make_account(&project, &login, &password).await?;
    let text = format!("{} may sign in as {}", printable(&account.email), account.role.name());
    context.print(&text, &json!({ "account": account.id, "email": account.email, "role": account.role }))
}

async fn list(context: &Context) -> anyhow::Result<()> {
    let accounts = context.open().await?.catalog.list_accounts().await?;
    let mut text = format!("{:>4}  {:13}  {:4}  {:9}  {:30}  name\n", "id", "role", "lang", "state", "address");
    for account in &accounts {
        let state = if account.disabled_ms.is_some() { "shut out" } else { "" };
        let (email, name) = (printable(&account.email), printable(&account.name));
        text += &format!(
            "{:>4}  {:13}  {:4}  {state:9}  {email:30}  {name}\n",
            account.id,
            account.role.name(),
            account.language
        );
    }
    let row = |account: &Account| {
        json!({
            "account": account.id, "email": account.email, "name": account.name, "role": account.role,
            "language": account.language, "disabled_ms": account.disabled_ms, "qualified_ms": account.qualified_ms,
        })
    };
    context.print(&text, &accounts.iter().map(row).collect())
}

async fn change_password(context: &Context, args: &AccountPassword) -> anyhow::Result<()> {
    let project = context.open().await?;
    let email = args.email.trim().to_lowercase();
    let Some((account, _)) = project.catalog.find_login(&email).await? else {
        bail!("there is no account for {}: `affectory accounts list` shows all", printable(&email));
    };
    let hash = hashed(&password(args.password_stdin)?)?;
    project.catalog.change_account(account.id, AccountChange::Password(&hash), COMMAND_LINE, now_ms()).await?;
    context.print(&format!("{} has another password", printable(&email)), &json!({ "account": account.id }))
}

/// An account to be made.
pub(super) struct NewLogin<'a> {
    pub(super) email: &'a str,
    pub(super) name: &'a str,
    pub(super) role: Role,
    pub(super) language: &'a str,
}

pub(super) async fn make_account(project: &Project, login: &NewLogin<'_>, password: &str) -> anyhow::Result<Account> {
    let email = login.email.trim().to_lowercase();
    if !email.contains('@') || email.chars().any(|c| c.is_whitespace() || c.is_control()) {
        bail!("`{}` is no e-mail address", printable(&email));
    }
    let name = login.name.trim();
    if name.is_empty() || name.chars().count() > 80 || name.chars().any(char::is_control) {
        bail!("a name has 1 to 80 characters, and no control characters");
    }
    let password_hash = hashed(password)?;
    let new =
        NewAccount { email: &email, name, role: login.role, language: login.language, password_hash: &password_hash };
    Ok(project.catalog.insert_account(&new, COMMAND_LINE, now_ms()).await?)
}

fn hashed(password: &str) -> anyhow::Result<String> {
    if let Some(problem) = password_problem(password) {
        bail!(problem);
    }
    hash_password(password, random()).map_err(anyhow::Error::msg).context("failed to hash the password")
}

fn password(from_stdin: bool) -> anyhow::Result<String> {
    if from_stdin {
        let mut text = String::new();
        std::io::stdin()
            .lock()
            .take(PASSWORD_BYTES)
            .read_to_string(&mut text)
            .context("failed to read the password")?;
        return Ok(text.trim_end_matches(['\r', '\n']).to_owned());
    }
    if !std::io::stdin().is_terminal() {
        bail!("there is no terminal to ask for the password: give it on stdin with --password-stdin");
    }
    ask_password()
}

pub(super) fn ask(question: &str) -> anyhow::Result<String> {
    eprint!("{question}");
    std::io::stderr().flush().context("failed to ask")?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).context("failed to read the answer")?;
    Ok(line.trim().to_owned())
}

pub(super) fn ask_password() -> anyhow::Result<String> {
    let password = rpassword::prompt_password("password: ").context("failed to read the password")?;
    let again = rpassword::prompt_password("again: ").context("failed to read the password")?;
    if password != again {
        bail!("the two passwords differ");
    }
    Ok(password)
}
