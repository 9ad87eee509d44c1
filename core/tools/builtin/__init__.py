"""The packs that ship with Sallyport: a folder per pack."""
