//! `affectory recipes`: which training recipes are inside the program, and what does each knob do?

use affectory_learn::Recipe;

use super::Context;
use crate::cli::Recipes;

pub fn run(context: &Context, args: &Recipes) -> anyhow::Result<()> {
    if let Some(name) = &args.recipe {
        let recipe = Recipe::find(name)?;
        return context.print(recipe.explained().trim_end(), &serde_json::to_value(&recipe)?);
    }
    let mut text = String::new();
    let mut json = serde_json::Map::new();
    for (name, _) in Recipe::built_in() {
        let recipe = Recipe::find(name)?;
        text += &format!("{name:22} {}\n", recipe.summary);
        json.insert((*name).to_owned(), serde_json::to_value(&recipe)?);
    }
    text += "\nwith every knob explained: affectory recipes NAME > mine.toml; then train --recipe mine.toml, or train --set KNOB=VALUE";
    context.print(&text, &json.into())
}
