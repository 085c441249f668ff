#!/usr/bin/env python3
"""Takes the most uncertain poses out of Firebase for annotation: `agir-cvtoolkit firebase transfer`.

See --help for the options. The project's own settings may be written here or into conf/firebase/default.yaml.
"""

import launch

SETTINGS = {
    # The bucket of your Firebase project; None: <project>.appspot.com, with the project of the key.
    "storageBucket": None,
    # Where devices put the picture of a pose; None: training_images/{pose_id}.jpg
    "imagePath": None,
}

if __name__ == "__main__":
    launch.run(
        ["firebase", "transfer"],
        [
            ("firebase.storage_bucket", SETTINGS["storageBucket"]),
            ("firebase.image_path", SETTINGS["imagePath"]),
        ],
    )
