from songline.cli import main

main()
