"""The tests; without this file a package of the same name, which optimade installs, would be found in their place."""
