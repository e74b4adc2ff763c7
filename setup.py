"""Metadata, dependencies and console commands of spd_bench."""

from pathlib import Path

from setuptools import find_packages, setup

# A range starts at the oldest release the tests were run with and ends before the next one that
# may break us; a reason stands beside every range that is narrower than that.
DEPENDENCIES = [
    "torch>=2.11,!=2.9.*",  # nnunetv2 excludes 2.9
    "torchvision>=0.26",  # must match torch exactly, else `import segment_anything` fails (CONTRIBUTING.md)
    "segment-anything>=1.0,<2",  # SAM's own modules: the reference for every row of the SAM family
    "transformers>=5,<6",  # SAM 2 without a compiler; its models change between major releases
    "safetensors>=0.4",  # the format of Hugging Face's weights
    "peft>=0.19,<1",  # LoRA as its authors and users know it
    "nnunetv2>=2.8.1,<2.9",  # hooks and constructors change between minor releases: contract tests pin them
    "dynamic-network-architectures>=0.4,<0.5",  # the U-Net that nnU-Net itself builds
    "batchgenerators>=0.25.1",
    "batchgeneratorsv2>=0.3",
    "blosc2>=3",  # the arrays of nnU-Net's preprocessed cases
    "SimpleITK>=2.4,<3",
    "nibabel>=5.2",
    "pydicom>=3,<4",  # the tags of DICOM files; SimpleITK reads their pixels
    "imageio>=2.34",  # natural 2D images, read as nnU-Net reads them
    "tifffile>=2024.1",  # TIFF stacks, read as nnU-Net reads them
    "numpy>=1.26",
    "scipy>=1.12",
    "pandas>=2.2",
    "matplotlib>=3.8",
    "Jinja2>=3.1",  # the report's page, every text escaped
    "pillow>=10",  # the report's slices as JPEG files
    "tqdm>=4.66",
    "filelock>=3.13",  # locks that the system releases with their process; kept by tox-dev, torch needs it too
]

# Jobs of a grid on a cluster: Meta's submitit writes, submits and watches Slurm's job files, and runs them locally too.
SLURM = ["submitit>=1.5,<2"]
# Google's atheris guides fuzzing by coverage; it has wheels for Linux alone.
FUZZ = ['atheris>=3; sys_platform == "linux" and python_version < "3.14"']
# medpy and hypothesis are independent references and input makers, selenium opens the report in a browser, psutil looks
# after other processes and their memory: tests and benchmarks only.
TEST = ["pytest>=8", "hypothesis>=6", "medpy>=0.5", "selenium>=4.20", "psutil>=5.9"]
# bandit (PyCQA) reads our code for what is unsafe, pip-audit (PyPA) asks which of the pinned versions are known to be.
QUALITY = [
    "ruff>=0.12",
    "mypy>=1.15",
    "pandas-stubs",
    "scipy-stubs",
    "types-tqdm",
    "types-psutil",
    "bandit>=1.8",
    "pip-audit>=2.9",
]

setup(
    name="spd_bench",
    version="0.1.0",
    description="Segmentation with the prompts that clinics really have: SPD beside its rivals, in one trusted table",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=["spd_bench*", "dataset_conversion*", "benchmarks*"]),
    package_data={"spd_bench": ["py.typed", "models/sam_small.safetensors", "report/templates/*"]},
    install_requires=DEPENDENCIES,
    extras_require={
        "slurm": SLURM,
        "fuzz": FUZZ,
        "test": TEST,
        "quality": QUALITY,
        "dev": TEST + QUALITY + SLURM + FUZZ,
    },
    entry_points={
        "console_scripts": [
            "spd_make_phantoms=spd_bench.cli.make_phantoms:main",
            "spd_convert_prompts=spd_bench.cli.convert_prompts:main",
            "spd_inspect=spd_bench.cli.inspect:main",
            "spd_plan_and_preprocess=spd_bench.cli.plan_and_preprocess:main",
            "spd_train=spd_bench.cli.train:main",
            "spd_predict=spd_bench.cli.predict:main",
            "spd_evaluate=spd_bench.cli.evaluate:main",
            "spd_compare_baselines=spd_bench.cli.compare_baselines:main",
            "spd_demo=spd_bench.cli.demo:main",
        ]
    },
)
