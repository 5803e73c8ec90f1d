//! `affectory recipes`: which training recipes are inside the program?

use affectory_learn::Recipe;

use super::Context;

pub fn run(context: &Context) -> anyhow::Result<()> {
    let mut text = String::new();
    let mut json = serde_json::Map::new();
    for (name, _) in Recipe::built_in() {
        let recipe = Recipe::find(name)?;
        text += &format!("{name:22} {}\n", recipe.summary);
        json.insert((*name).to_owned(), serde_json::to_value(&recipe)?);
    }
    text += "\na copy with your own knobs: affectory recipes --json, or a .toml file given to `train --recipe`";
    context.print(&text, &json.into())
}
