module example.invalid/apb/images

go 1.24.0
