//! What a pet's foods ask for.

use super::Recommendation;
use crate::domain::animal::Species;
use crate::domain::foods::Food;
use crate::domain::ingredients;
use crate::domain::plan::{Findings, Plan};
use crate::domain::portions::LeftOut;

/// What comes of animals, among ingredients. A list is never complete: where none of it is found, the owner is asked to look.
const OF_ANIMALS: [&str; 44] = [
    "meat",
    "poultry",
    "chicken",
    "turkey",
    "duck",
    "goose",
    "quail",
    "hen",
    "beef",
    "veal",
    "calf",
    "ox",
    "pork",
    "ham",
    "lamb",
    "mutton",
    "goat",
    "venison",
    "deer",
    "boar",
    "rabbit",
    "hare",
    "horse",
    "kangaroo",
    "fish",
    "salmon",
    "tuna",
    "trout",
    "cod",
    "herring",
    "mackerel",
    "sardine",
    "anchovy",
    "whitefish",
    "shrimp",
    "prawn",
    "krill",
    "liver",
    "heart",
    "kidney",
    "egg",
    "insect",
    "animal",
    "giblet",
];

pub(super) fn recommend(plan: &Plan, findings: &Findings<'_>, told: &mut Vec<Recommendation>) {
    let inputs = findings.inputs;
    for left_out in &findings.left_out {
        let text = left_out.text();
        told.push(match left_out {
            LeftOut::Gone(_) => {
                Recommendation::advice("FOOD_GONE", text, "It was removed from the foods.", "")
            }
            LeftOut::Treat { .. } => {
                let reason = "Meals carry the nutrients; treats are at most 10 % of the energy.";
                Recommendation::info("TREAT_IS_NO_MEAL", text, reason, "WSAVA; AAHA 2021")
            }
            LeftOut::Allergen { allergen, .. } => {
                let reason = format!("{allergen} is among its allergies.");
                Recommendation::advice("ALLERGEN_IN_FOOD", text, reason, "")
            }
            LeftOut::Poison { poison, .. } => {
                let reason = format!("{poison} poisons {}s.", inputs.animal.species.noun());
                Recommendation::vet("FORBIDDEN_FOOD", text, reason, "Merck Veterinary Manual")
            }
        });
    }
    if plan.portions.is_empty() {
        let text = "Choose what it eats, so that the plan says how many grams.";
        let reason = match inputs.profile.foods.len() {
            0 => "No food is chosen.".to_owned(),
            _ if plan.energy.is_none() => "Without its weight there are no portions.".to_owned(),
            count => format!("None of the {count} chosen can be fed."),
        };
        told.push(Recommendation::advice("FOOD_UNKNOWN", text, reason, ""));
    }
    let is_fed = |food: &&Food| plan.portions.iter().any(|portion| portion.food_id == food.id);
    for food in inputs.foods.iter().filter(is_fed) {
        let (name, listed) = (&food.facts.name, &food.facts.ingredients);
        if listed.is_empty() && !inputs.profile.allergies.is_empty() {
            let text =
                format!("Note the ingredients of {name}: nobody can tell whether the pet may have it.");
            let reason = format!("It must not have {}.", inputs.profile.allergies.join(", "));
            told.push(Recommendation::advice("INGREDIENTS_UNKNOWN", text, reason, ""));
        }
        if inputs.animal.species == Species::Cat
            && !listed.is_empty()
            && !listed.iter().any(|name| is_of_animals(name))
        {
            let text = format!(
                "{name} seems to have neither meat nor fish in it: a cat cannot live on that. Look at its label."
            );
            let reason = format!("Cats are obligate carnivores; its ingredients: {}.", listed.join(", "));
            told.push(Recommendation::vet("CAT_NEEDS_MEAT", text, reason, "NRC 2006"));
        }
    }
}

fn is_of_animals(ingredient: &str) -> bool {
    OF_ANIMALS.iter().any(|animal| ingredients::has(ingredient, animal))
}
