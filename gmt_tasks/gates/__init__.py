"""Gates that crystals made here pass before anything is computed of them, each with a reason when it stays shut."""
