"""The thin shell around the rules: gathers what surrounds an object, asks the rules, carries out the step that they want."""
