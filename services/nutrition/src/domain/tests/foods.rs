//! Foods, ingredients, and what never to feed.

use crate::domain::{EnergySource, Fault, FoodInput, FoodKind, FoodPatch, Species, forbidden, ingredients};

fn kibble() -> FoodInput {
    FoodInput {
        name: " Kibble ".into(),
        kind: Some(FoodKind::Dry),
        protein_percent: Some(26.0),
        fat_percent: Some(15.0),
        fibre_percent: Some(3.0),
        moisture_percent: Some(9.0),
        ash_percent: Some(7.0),
        ingredients: vec!["Chicken Meal".into(), "rice".into(), "chicken  meal".into()],
        ..FoodInput::default()
    }
}

fn faults(food: FoodInput) -> Vec<(String, &'static str)> {
    let faults = food.parse().unwrap_err();
    faults.into_iter().map(|Fault { field, code, .. }| (field, code)).collect()
}

fn fault(field: &str, code: &'static str) -> Vec<(String, &'static str)> {
    vec![(field.to_owned(), code)]
}

#[test]
fn energy_is_by_modified_atwater_without_a_label() {
    let food = kibble().parse().unwrap();
    let energy = food.energy();
    // NFE = 100 − 26 − 15 − 9 − 7 − 3 = 40; 3.5 × 26 + 8.5 × 15 + 3.5 × 40 = 358.5.
    assert!((energy.kcal_per_100g - 358.5).abs() < 1e-9);
    assert_eq!(energy.source, EnergySource::ModifiedAtwater);
    assert_eq!(
        (food.name.as_str(), food.ingredients.as_slice()),
        ("Kibble", ["chicken meal".to_owned(), "rice".to_owned()].as_slice())
    );
}

#[test]
fn a_labels_own_figure_wins() {
    let energy = FoodInput { label_kcal_per_100g: Some(372.0), ..kibble() }.parse().unwrap().energy();
    assert_eq!((energy.kcal_per_100g, energy.source), (372.0, EnergySource::Label));
}

#[test]
fn a_food_without_an_energy_is_refused() {
    let bare = FoodInput { name: "Stew".into(), kind: Some(FoodKind::HomeCooked), ..FoodInput::default() };
    assert_eq!(faults(bare.clone()), fault("label_kcal_per_100g", "REQUIRED"));
    let half = FoodInput { protein_percent: Some(8.0), fat_percent: Some(4.0), ..bare.clone() };
    assert_eq!(faults(half), fault("moisture_percent", "REQUIRED"));
    let water = FoodInput {
        protein_percent: Some(0.0),
        fat_percent: Some(0.0),
        moisture_percent: Some(100.0),
        ..bare
    };
    assert_eq!(faults(water), fault("moisture_percent", "OUT_OF_RANGE"));
}

#[test]
fn figures_out_of_bounds_are_named() {
    assert_eq!(
        faults(FoodInput { fat_percent: Some(-1.0), ..kibble() }),
        fault("fat_percent", "OUT_OF_RANGE")
    );
    assert_eq!(
        faults(FoodInput { ash_percent: Some(f64::NAN), ..kibble() }),
        fault("ash_percent", "OUT_OF_RANGE")
    );
    assert_eq!(
        faults(FoodInput { fat_percent: Some(60.0), ..kibble() }),
        fault("protein_percent", "OUT_OF_RANGE")
    );
    assert_eq!(
        faults(FoodInput { label_kcal_per_100g: Some(0.0), ..kibble() }),
        fault("label_kcal_per_100g", "OUT_OF_RANGE")
    );
    assert_eq!(faults(FoodInput { name: " ".into(), ..kibble() }), fault("name", "REQUIRED"));
    assert_eq!(faults(FoodInput { name: "x".repeat(101), ..kibble() }), fault("name", "OUT_OF_RANGE"));
    assert_eq!(faults(FoodInput { kind: None, ..kibble() }), fault("kind", "REQUIRED"));
    assert_eq!(
        faults(FoodInput { ingredients: vec!["rice".into(), " ".into()], ..kibble() }),
        fault("ingredients[1]", "OUT_OF_RANGE")
    );
    assert_eq!(
        faults(FoodInput { ingredients: vec!["rice".into(); 101], ..kibble() }),
        fault("ingredients", "OUT_OF_RANGE")
    );
}

#[test]
fn poison_is_refused_by_name() {
    for name in
        ["Cocoa powder", "RAISINS", "onion", "spring-onions", "macadamia nut oil", "Xylitol", "red grapes"]
    {
        let food = FoodInput { ingredients: vec!["rice".into(), name.into()], ..kibble() };
        let faults = food.parse().unwrap_err();
        assert_eq!(
            (faults[0].field.as_str(), faults[0].code),
            ("ingredients[1]", "FORBIDDEN_FOOD"),
            "{name}"
        );
        assert!(faults[0].reason.contains(&name.to_lowercase()), "{}", faults[0].reason);
    }
    // Lilies harm cats alone, and foods have no species.
    assert!(
        FoodInput { ingredients: vec!["lily bulb".into(), "grapeseed".into()], ..kibble() }.parse().is_ok()
    );
}

#[test]
fn what_no_food_could_be_changed_to_is_refused_without_one() {
    for (patch, field) in [
        (FoodPatch { name: Some(" ".into()), ..FoodPatch::default() }, "name"),
        (FoodPatch { label_kcal_per_100g: Some(-1.0), ..FoodPatch::default() }, "label_kcal_per_100g"),
        (FoodPatch { fat_percent: Some(101.0), ..FoodPatch::default() }, "fat_percent"),
        (FoodPatch { ingredients: vec!["chocolate".into()], ..FoodPatch::default() }, "ingredients[0]"),
    ] {
        let faults = patch.check().unwrap_err();
        assert!(faults.iter().any(|fault| fault.field == field), "{field}: {faults:?}");
    }
    for patch in [
        FoodPatch::default(),
        FoodPatch { label_kcal_per_100g: Some(0.0), ..FoodPatch::default() },
        FoodPatch { fat_percent: Some(16.0), ..FoodPatch::default() },
    ] {
        patch.check().unwrap();
    }
}

#[test]
fn a_patch_keeps_what_it_does_not_say() {
    let food = FoodInput { label_kcal_per_100g: Some(372.0), ..kibble() }.parse().unwrap();
    // Of parts that make too much together the one that was sent is named.
    let wet = FoodPatch { moisture_percent: Some(90.0), ..FoodPatch::default() };
    let named: Vec<_> = wet.apply(&food).unwrap_err().into_iter().map(|fault| fault.field).collect();
    assert_eq!(named, ["moisture_percent"]);
    let patch = FoodPatch { name: Some("New".into()), fat_percent: Some(16.0), ..FoodPatch::default() };
    let changed = patch.apply(&food).unwrap();
    assert_eq!(
        (changed.name.as_str(), changed.fat_percent, changed.label_kcal_per_100g),
        ("New", Some(16.0), Some(372.0))
    );
    assert_eq!(changed.ingredients, food.ingredients);
    let unlabelled =
        FoodPatch { label_kcal_per_100g: Some(0.0), ..FoodPatch::default() }.apply(&food).unwrap();
    assert_eq!(unlabelled.energy().source, EnergySource::ModifiedAtwater);
    let bad =
        FoodPatch { ingredients: vec!["chocolate".into()], ..FoodPatch::default() }.apply(&food).unwrap_err();
    assert_eq!(bad[0].code, "FORBIDDEN_FOOD");
}

#[test]
fn ingredients_are_found_by_their_words() {
    for (ingredient, name, found) in [
        ("Chicken-Meal", "chicken", true),
        ("dried tomatoes", "Tomato", true),
        ("fish oil", "fish oil", true),
        ("fish and corn oil", "fish oil", false),
        ("chickpea", "chick", false),
        ("ham", "hams", true),
        ("rice", "", false),
    ] {
        assert_eq!(ingredients::has(ingredient, name), found, "{name} in {ingredient}");
    }
}

#[test]
fn doses_are_for_the_species_and_the_weight() {
    let dose_for = |kg: f64, species, name: &str| {
        let listed = forbidden::list(species, Some(kg));
        listed.into_iter().find(|food| food.name == name).map(|food| food.danger_from_g)
    };
    let dose = |species, name: &str| dose_for(4.0, species, name);
    let near = |found: Option<Option<f64>>, grams: f64| (found.unwrap().unwrap() - grams).abs() < 1e-9;
    // 20 mg/kg of theobromine, 5 g/kg (cat) and 15 g/kg (dog) of onion, 0.7 g/kg of macadamia, 0.1 g/kg of xylitol.
    assert!(near(dose(Species::Cat, "chocolate"), 0.08) && near(dose(Species::Dog, "chocolate"), 0.08));
    assert!(near(dose(Species::Cat, "onion"), 20.0) && near(dose(Species::Dog, "onion"), 60.0));
    assert!(near(dose(Species::Dog, "macadamia nuts"), 2.8) && near(dose(Species::Cat, "xylitol"), 0.4));
    // A kitten's are small, and are not said to be more than they are.
    assert!(near(dose_for(0.3, Species::Cat, "chocolate"), 0.006));
    assert!(near(dose_for(4.29, Species::Cat, "xylitol"), 0.42));
    assert_eq!(dose(Species::Dog, "grapes and raisins"), Some(None));
    assert_eq!((dose(Species::Cat, "lilies"), dose(Species::Dog, "lilies")), (Some(None), None));
    assert!(forbidden::list(Species::Dog, None).iter().all(|food| food.danger_from_g.is_none()));
}
